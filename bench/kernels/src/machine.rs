//! The machine.

use std::num::NonZero;

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The name of the processor, and which of the instructions that matter here it has.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("", |(_, value)| value.trim())
    };
    let flags: Vec<&str> = field("flags").split(' ').collect();
    let known = ["sha_ni", "aes", "vaes", "avx2", "avx512f"]
        .into_iter()
        .filter(|flag| flags.contains(flag));
    format!("{}; {}", field("model name"), known.collect::<Vec<_>>().join(", "))
}

/// The architecture, and what this process is told that the processor has of the instructions by which kernels choose
/// their code. An emulator tells of its own.
pub fn instruction_sets() -> String {
    let mut words = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        let known = [
            ("aes", is_x86_feature_detected!("aes")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("bmi2", is_x86_feature_detected!("bmi2")),
            ("sha", is_x86_feature_detected!("sha")),
            ("vaes", is_x86_feature_detected!("vaes")),
        ];
        words.extend(known.iter().filter(|(_, known)| *known).map(|(name, _)| *name));
    }
    words.join(" ")
}
