//! Numbers of 256 bits modulo an odd number above 2^255, in the form of Montgomery: `a` stands as `a * 2^256`.
//!
//! Written out, since the crates that have it fit badly: p256 brings one under a licence that none of our binaries
//! holds (subtle), and the products of crypto-bigint take about twice as long, which would undo the gain.
//!
//! For public data alone: how long something takes depends on the numbers. Called by [`super::p256`].

/// A number, its lowest 64 bits first.
pub(crate) type Limbs = [u64; 4];

/// What numbers are taken modulo of.
pub(crate) struct Modulus {
    limbs: Limbs,
    /// -1/m modulo 2^64.
    negated_inverse: u64,
    /// 1 in Montgomery's form: 2^256.
    pub(crate) one: Limbs,
    /// 2^512, which takes numbers to that form.
    square: Limbs,
}

impl Modulus {
    /// `limbs` are odd and above 2^255.
    pub(crate) const fn new(limbs: Limbs) -> Self {
        // Newton's iteration doubles the bits that are right; an odd number is its own inverse modulo 8.
        let mut inverse = limbs[0];
        let mut round = 0;
        while round < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(limbs[0].wrapping_mul(inverse)));
            round += 1;
        }
        let (one, _) = subtract(&[0; 4], &limbs);
        let mut square = one;
        round = 0;
        while round < 256 {
            let (sum, carry) = plus(&square, &square);
            square = below(&limbs, &sum, carry);
            round += 1;
        }
        Self { limbs, negated_inverse: inverse.wrapping_neg(), one, square }
    }

    /// Whether a number is below the modulus.
    pub(crate) fn holds(&self, a: &Limbs) -> bool {
        subtract(a, &self.limbs).1 == 1
    }

    /// Any number of 256 bits modulo this: one subtraction does it.
    pub(crate) fn reduce(&self, a: &Limbs) -> Limbs {
        below(&self.limbs, a, 0)
    }

    pub(crate) fn to_form(&self, a: &Limbs) -> Limbs {
        self.multiply(a, &self.square)
    }

    pub(crate) fn out_of_form(&self, a: &Limbs) -> Limbs {
        self.multiply(a, &[1, 0, 0, 0])
    }

    pub(crate) fn add(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (sum, carry) = plus(a, b);
        below(&self.limbs, &sum, carry)
    }

    pub(crate) fn subtract(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (difference, borrow) = subtract(a, b);
        let mask = 0u64.wrapping_sub(borrow);
        plus(&difference, &self.limbs.map(|limb| limb & mask)).0
    }

    /// The product divided by 2^256: of two numbers in form, their product in form.
    #[inline(always)]
    pub(crate) fn multiply(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (mut t, mut top) = ([0u64; 4], 0u64);
        for &b in b {
            let mut carry = 0;
            for (t, &a) in t.iter_mut().zip(a) {
                (*t, carry) = fused(a, b, *t, carry);
            }
            let (high, over) = top.overflowing_add(carry);
            // What makes the lowest limb 0, by which the sum is then divided.
            let factor = t[0].wrapping_mul(self.negated_inverse);
            (_, carry) = fused(factor, self.limbs[0], t[0], 0);
            for at in 1..4 {
                (t[at - 1], carry) = fused(factor, self.limbs[at], t[at], carry);
            }
            let (high, again) = high.overflowing_add(carry);
            t[3] = high;
            top = u64::from(over) + u64::from(again);
        }
        below(&self.limbs, &t, top)
    }

    /// The inverse of a number in form, in form; that of 0 is 0. By Fermat: `a` to the power of m - 2.
    pub(crate) fn invert(&self, a: &Limbs) -> Limbs {
        let (exponent, _) = subtract(&self.limbs, &[2, 0, 0, 0]);
        let mut power = self.one;
        for bit in (0..256).rev() {
            power = self.multiply(&power, &power);
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                power = self.multiply(&power, a);
            }
        }
        power
    }

    /// Inverts many numbers, none of which is 0, with one inversion and three products each (Montgomery's trick).
    pub(crate) fn invert_all(&self, numbers: &mut [Limbs], products: &mut Vec<Limbs>) {
        products.clear();
        let mut product = self.one;
        for number in &*numbers {
            products.push(product);
            product = self.multiply(&product, number);
        }
        let mut inverse = self.invert(&product);
        for (number, before) in numbers.iter_mut().zip(products).rev() {
            let own = self.multiply(&inverse, before);
            inverse = self.multiply(&inverse, number);
            *number = own;
        }
    }
}

/// Octets as they stand on the wire, highest first.
pub(crate) fn from_octets(octets: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, eight) in limbs.iter_mut().rev().zip(octets.chunks_exact(8)) {
        *limb = eight.iter().fold(0, |limb, &octet| limb << 8 | u64::from(octet));
    }
    limbs
}

/// A number below twice the modulus, less the modulus where that goes.
const fn below(limbs: &Limbs, a: &Limbs, carry: u64) -> Limbs {
    let (less, borrow) = subtract(a, limbs);
    let keep = 0u64.wrapping_sub(borrow & (1 - carry));
    [
        (a[0] & keep) | (less[0] & !keep),
        (a[1] & keep) | (less[1] & !keep),
        (a[2] & keep) | (less[2] & !keep),
        (a[3] & keep) | (less[3] & !keep),
    ]
}

const fn plus(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (mut sum, mut carry, mut at) = ([0; 4], 0, 0);
    while at < 4 {
        let wide = a[at] as u128 + b[at] as u128 + carry as u128;
        (sum[at], carry) = (wide as u64, (wide >> 64) as u64);
        at += 1;
    }
    (sum, carry)
}

const fn subtract(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (mut difference, mut borrow, mut at) = ([0; 4], 0, 0);
    while at < 4 {
        let wide = (a[at] as u128).wrapping_sub(b[at] as u128 + borrow as u128);
        (difference[at], borrow) = (wide as u64, (wide >> 64) as u64 & 1);
        at += 1;
    }
    (difference, borrow)
}

/// `a * b + c + d`, which fits: its low and its high half.
fn fused(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let wide = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (wide as u64, (wide >> 64) as u64)
}
