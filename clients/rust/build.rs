//! Generates the stubs from protos/ with protox, a protoc in Rust, so that protoc need not be installed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=protos");
    let services = ["assignment", "policy"].map(|of| format!("compliance_gateway/v1/compliance_{of}_service.proto"));
    let files = protox::compile(services, ["protos"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
