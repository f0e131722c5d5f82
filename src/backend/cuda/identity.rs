//! Which device this is, without asking the driver.
