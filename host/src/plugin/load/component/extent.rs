//! How much there is of a component, whatever its bytes: what compiling it takes of the host's memory follows from
//! this, and a small file can ask for all of it.
//!
//! Never compiles anything. Always: what is counted is what the file declares, at whatever depth.

use wasmparser::Payload;

/// Core modules of a component, and components in it. Those of CPython have fourteen modules.
const MODULES: u32 = 100;
const COMPONENTS: u32 = 100;

/// Functions of all its core modules. The engine keeps five kilobytes for each, however small it is; those of CPython
/// have thirteen thousand.
const FUNCTIONS: u32 = 100_000;

/// How deep its modules and components lie in each other. Each level is held by the one around it, so that memory grows
/// by the square of the depth; what tools compose has two or three.
const DEPTH: usize = 16;

/// What was counted of a component so far.
#[derive(Debug, Default)]
pub(super) struct Extent {
    modules: u32,
    components: u32,
    functions: u32,
}

impl Extent {
    /// Takes in a part of the file, which lies so deep. The error completes "the plugin is refused: …", begun by "it".
    pub(super) fn count(&mut self, part: &Payload<'_>, depth: usize) -> Result<(), String> {
        match part {
            Payload::ModuleSection { .. } => self.modules += 1,
            Payload::ComponentSection { .. } => self.components += 1,
            Payload::FunctionSection(functions) => self.functions = self.functions.saturating_add(functions.count()),
            _ => {}
        }
        within("core modules", self.modules, MODULES)?;
        within("components in it", self.components, COMPONENTS)?;
        within("functions", self.functions, FUNCTIONS)?;
        if depth > DEPTH {
            return Err(format!(
                "its components lie more than {DEPTH} deep in each other, which is the most that a plugin may have"
            ));
        }
        Ok(())
    }
}

fn within(what: &str, count: u32, most: u32) -> Result<(), String> {
    match count <= most {
        true => Ok(()),
        false => Err(format!(
            "it has more than {most} {what}, which is the most that a plugin may have"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::Parser;

    fn judged(bytes: &[u8]) -> Result<(), String> {
        let (mut extent, mut depth) = (Extent::default(), 0);
        for part in Parser::new(0).parse_all(bytes) {
            let part = part.unwrap();
            extent.count(&part, depth)?;
            match part {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    fn text(content: &str) -> Result<(), String> {
        judged(&wat::parse_str(format!("(component {content})")).unwrap())
    }

    #[test]
    fn what_tools_make_is_far_below_and_one_more_than_the_most_is_refused() {
        let modules = |count: u32| "(core module)".repeat(count as usize);
        assert_eq!(text(&modules(MODULES)), Ok(()));
        assert!(text(&modules(MODULES + 1)).unwrap_err().contains("100 core modules"));
        let within = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
        assert_eq!(text(&within(DEPTH)), Ok(()));
        assert!(text(&within(DEPTH + 1)).unwrap_err().contains("16 deep"));
        let beside = "(component)".repeat(COMPONENTS as usize + 1);
        assert!(text(&beside).unwrap_err().contains("100 components"));
    }

    #[test]
    fn functions_are_counted_over_all_modules() {
        let module = |functions: u32| format!("(core module {})", "(func)".repeat(functions as usize));
        assert_eq!(text(&module(FUNCTIONS / 2).repeat(2)), Ok(()));
        let more = module(FUNCTIONS / 2).repeat(2) + &module(1);
        assert!(text(&more).unwrap_err().contains("100000 functions"));
    }
}
