//! The stubs, from protos/. protox is a protoc in Rust: nothing has to be installed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = "../../protos";
    println!("cargo:rerun-if-changed={protos}");
    let service = "compliance_gateway/v1/compliance_assignment_service.proto";
    let files = protox::compile([service], [protos, "../../protos/third_party"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
