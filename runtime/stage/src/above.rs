//! What a check may see of the stages above: their kinds and parameters, as far up as somebody looks.
use serde_json::Value;

/// Answers what stands at a port.
type Ports<'a> = dyn Fn(&str) -> Vec<Given<'a>> + 'a;

/// What is connected to the ports of a stage. Nothing is looked up before it is asked for.
pub struct Above<'a>(Box<Ports<'a>>);

/// A stage that gives something.
pub struct Given<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// The output that is connected.
    pub output: &'a str,
    /// Its parameters, checked: units are numbers, defaults are written out, a file of values is its content, and
    /// input files are the text that names them.
    pub params: Value,
    /// What stands above it in turn.
    pub above: Above<'a>,
}

impl<'a> Above<'a> {
    /// What `ports` answers for the name of a port.
    pub fn new(ports: impl Fn(&str) -> Vec<Given<'a>> + 'a) -> Self {
        Self(Box::new(ports))
    }

    /// Nothing is connected.
    pub fn nothing() -> Self {
        Self::new(|_| Vec::new())
    }

    /// What stands at a port, in the pipeline's order; nothing where it is not connected.
    pub fn port(&self, name: &str) -> Vec<Given<'a>> {
        (self.0)(name)
    }
}

impl<'a> Given<'a> {
    /// What stands at a port of that stage.
    pub fn port(&self, name: &str) -> Vec<Given<'a>> {
        self.above.port(name)
    }
}
