//! Every metric: its name, its unit, its meaning.
