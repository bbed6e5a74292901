//! What the store promises, tried from outside.
#[cfg(test)]
mod cleaning;
#[cfg(test)]
mod results;
#[cfg(test)]
mod support;
