//! CUDA launch geometry at one case.

use std::collections::BTreeMap;

use super::case::CaseError;
use super::expr::eval_int;
use super::{Case, CudaLaunch};

/// Most threads of a block, by axis and together, on every CUDA device.
const BLOCK_LIMITS: [i64; 3] = [1024, 1024, 64];
const THREADS: i64 = 1024;
/// Most blocks by axis.
const GRID_LIMITS: [i64; 3] = [i32::MAX as i64, 65_535, 65_535];
const AXES: [&str; 3] = ["x", "y", "z"];

/// Blocks, threads and dynamic shared memory of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
}

/// Why a launch has no geometry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LaunchError {
    /// An expression has no value.
    #[error(transparent)]
    Expr(#[from] CaseError),
    /// A number is outside what devices take.
    #[error("{what} is {value}, and must be {least} to {most}")]
    Range {
        /// `grid.x`, `the product of block`, `shared`.
        what: String,
        /// Its value.
        value: i64,
        /// Smallest value.
        least: i64,
        /// Largest value.
        most: i64,
    },
}

/// The geometry of `launch` at `case`. `block` replaces the launch's own, for a kernel that brings
/// its block size.
///
/// # Errors
/// When an expression has no value, or one that no device takes.
pub fn geometry(
    launch: &CudaLaunch,
    case: &Case,
    block: Option<[u32; 3]>,
) -> Result<Geometry, LaunchError> {
    let mut names = case.sizes.clone();
    let own = block.map(|axes| axes.map(|axis| axis.to_string()).to_vec());
    let block = axes("block", own.as_ref().unwrap_or(&launch.block), &mut names, BLOCK_LIMITS)?;
    let threads = block.iter().map(|axis| i64::from(*axis)).product();
    in_range("the product of block", threads, 1, THREADS)?;
    let grid = axes("grid", &launch.grid, &mut names, GRID_LIMITS)?;
    let shared = value(&launch.shared, &names)?;
    let shared_bytes = in_range("shared", shared, 0, i64::from(i32::MAX))?;
    Ok(Geometry { grid, block, shared_bytes })
}

/// Three axes (missing ones are 1), which become names of the expressions after them.
fn axes(
    what: &str,
    exprs: &[String],
    names: &mut BTreeMap<String, i64>,
    limits: [i64; 3],
) -> Result<[u32; 3], LaunchError> {
    let mut found = [1; 3];
    for (i, expr) in exprs.iter().take(3).enumerate() {
        let name = format!("{what}.{}", AXES[i]);
        found[i] = in_range(&name, value(expr, names)?, 1, limits[i])?;
    }
    for (axis, number) in AXES.iter().zip(found) {
        names.insert(format!("{what}.{axis}"), i64::from(number));
    }
    Ok(found)
}

fn value(expr: &str, names: &BTreeMap<String, i64>) -> Result<i64, CaseError> {
    eval_int(expr, names).map_err(|error| CaseError::Expr { expr: expr.to_owned(), error })
}

fn in_range(what: &str, value: i64, least: i64, most: i64) -> Result<u32, LaunchError> {
    let error = || LaunchError::Range { what: what.to_owned(), value, least, most };
    if value < least || value > most {
        return Err(error());
    }
    u32::try_from(value).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grid: &[&str], block: &[&str], own: Option<[u32; 3]>) -> Result<Geometry, String> {
        let texts = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        let launch = CudaLaunch {
            grid: texts(grid),
            block: texts(block),
            shared: "4*block.x*grid.y".into(),
        };
        let case = Case { label: "n=1000".into(), sizes: [("n".to_owned(), 1000)].into() };
        geometry(&launch, &case, own).map_err(|error| error.to_string())
    }

    #[test]
    fn the_grid_may_use_the_block_and_a_kernel_may_bring_its_own() {
        let found = check(&["ceil_div(n, block.x)", "2"], &["256"], None);
        let expected = Geometry { grid: [4, 2, 1], block: [256, 1, 1], shared_bytes: 2048 };
        assert_eq!(found, Ok(expected));
        let own = check(&["ceil_div(n, block.x)"], &["256"], Some([128, 2, 1])).unwrap();
        assert_eq!((own.grid, own.block), ([8, 1, 1], [128, 2, 1]));
    }

    #[test]
    fn what_no_device_takes_is_refused() {
        for (grid, block, expected) in [
            (&["n"][..], &["n*2"][..], "block.x is 2000, and must be 1 to 1024"),
            (&["n"], &["64", "32"], "the product of block is 2048, and must be 1 to 1024"),
            (&["0"], &["1"], "grid.x is 0, and must be 1 to 2147483647"),
            (&["1", "n*100"], &["1"], "grid.y is 100000, and must be 1 to 65535"),
            (&["m"], &["1"], "`m`: there is no value for `m`"),
            (&["1"], &["grid.x"], "`grid.x`: there is no value for `grid.x`"),
        ] {
            assert_eq!(check(grid, block, None), Err(expected.to_owned()));
        }
    }
}
