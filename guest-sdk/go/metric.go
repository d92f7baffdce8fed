package sandbar

import "reflect"

// Counter is a metric that only grows. A field of a plugin is the metric of its name, as with a [Value]; the tag
// `help:"events seen"` says what it counts. What a refused record measured stays.
type Counter struct{ metric }

// Add adds to it.
func (c *Counter) Add(number float64) { c.instance.host.Measure(c.index, number) }

func (c *Counter) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return c.add(instance, Metric{name, tag.Get("help"), false})
}

// Gauge is a metric that goes up and down.
type Gauge struct{ metric }

// Set says what it is now.
func (g *Gauge) Set(number float64) { g.instance.host.Measure(g.index, number) }

func (g *Gauge) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return g.add(instance, Metric{name, tag.Get("help"), true})
}

// metric is what both kinds have.
type metric struct{ declared }

func (m *metric) add(instance *Instance, said Metric) error {
	metrics := &instance.description.Metrics
	m.declared = declared{instance, uint8(len(*metrics)), said.Name}
	*metrics = append(*metrics, said)
	return nil
}
