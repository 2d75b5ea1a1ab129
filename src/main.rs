//! Arguments in, exit code out; nothing else.

fn main() -> std::process::ExitCode {
    pulumi_backend::command::main()
}
