//! The `command` stage: any program, with declared inputs and outputs.
