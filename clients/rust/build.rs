//! The stubs, from protos/. protox is a protoc in Rust: nothing has to be installed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=protos");
    let files = protox::compile(["compliance_gateway/v1/compliance_assignment_service.proto"], ["protos"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
