//! What the store promises, tried from outside.
#[cfg(test)]
mod cleaning;
#[cfg(test)]
mod families;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod results;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
