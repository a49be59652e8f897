//! All f64 statistics of the engine, in one module, with fixed order and software functions (`libm`).
