//! The binary `bagua`; everything is in the library.

/// Rendering a page makes thousands of small allocations; the system's allocator took a quarter of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bagua_server::main()
}
