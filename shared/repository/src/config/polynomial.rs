//! Polynomials over GF(2), as bits: restic wants an irreducible one of degree 53 in every config.

use crate::ambient::Ambient;

/// The degree restic chunks with. A prime, which makes the test for irreducibility short.
const DEGREE: u32 = 53;

/// A random irreducible polynomial of degree 53. About one candidate in 27 is irreducible.
pub fn random_polynomial(ambient: &Ambient) -> u64 {
    loop {
        let random = u64::from_le_bytes(ambient.random());
        let candidate = (random & ((1 << DEGREE) - 1)) | (1 << DEGREE) | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
    }
}

/// Whether a polynomial has degree 53 and no divisors: Rabin's test. As 53 is prime, it is irreducible exactly when it
/// divides `x^(2^53) - x` and has no root in GF(2).
pub fn is_irreducible(polynomial: u64) -> bool {
    let has_root = polynomial & 1 == 0 || polynomial.count_ones().is_multiple_of(2);
    if polynomial >> DEGREE != 1 || has_root {
        return false;
    }
    const X: u64 = 2;
    (0..DEGREE).fold(X, |power, _| square(power, polynomial)) == X
}

/// `a * a` modulo `modulus`.
fn square(a: u64, modulus: u64) -> u64 {
    let mut product = 0;
    for bit in (0..DEGREE).rev() {
        product <<= 1;
        if product >> DEGREE != 0 {
            product ^= modulus;
        }
        if a >> bit & 1 == 1 {
            product ^= a;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_known_to_be_irreducible_pass() {
        // From restic's own test data.
        assert!(is_irreducible(0x3DA3358B4DC173));
        assert!(is_irreducible(0x25b468838dcb75));
    }

    #[test]
    fn products_and_other_degrees_fail() {
        let multiply = |a: u64, b: u64| {
            (0..64)
                .filter(|bit| b >> bit & 1 == 1)
                .fold(0, |sum, bit| sum ^ (a << bit))
        };
        // Degrees 26 and 27, odd, so that neither has a root.
        assert!(!is_irreducible(multiply((1 << 26) | 0b111, (1 << 27) | 0b1011)));
        assert!(!is_irreducible(0x3DA3358B4DC173 ^ 1));
        assert!(!is_irreducible(0x3DA3358B4DC173 << 1));
        assert!(!is_irreducible(0b111));
        assert!(!is_irreducible(0));
    }
}
