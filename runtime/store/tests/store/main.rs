//! What the store promises, tried from outside.
#[cfg(test)]
mod cleaning;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod results;
#[cfg(test)]
mod support;
