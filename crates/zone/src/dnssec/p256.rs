//! Many ECDSA signatures over P-256 by one key at once (RFC 6605 §4), several times as fast as one by one.
//!
//! A zone has hundreds of thousands of signatures by one key. Verifying one means adding multiples of two points, the
//! curve's generator and the key. Tables of their multiples leave 64 additions without a doubling, and the inversions
//! that additions in affine coordinates need are shared by a whole batch.
//!
//! It only ever accepts. Whatever it does not accept may be good all the same: an addition of a point to itself or to
//! its negative, which no signer meets by chance, is given up rather than worked out. So callers ask ring again, and
//! only an acceptance relies on what stands here. Called by [`super::rrsets`] for the signatures of zones that have
//! enough of them; the tables live as long as the check of one zone.

use ring::digest;

use super::modular::{Limbs, Modulus, from_octets};

/// The field, the order of the group, and the curve's constant b (SEC 2 §2.4.2).
const P: Modulus = Modulus::new([0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001]);
const N: Modulus = Modulus::new([
    0xf3b9_cac2_fc63_2551,
    0xbce6_faad_a717_9e84,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
]);
const B: Limbs = [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7];

/// The generator.
const G: Point = Point {
    x: [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247],
    y: [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b],
};

/// Octets of a scalar, which are the windows: wider ones need more memory than the additions that they save are worth.
const WINDOWS: usize = 32;

/// Multiples of one point in a window: all but none.
const MULTIPLES: usize = 255;

/// One signature over a message with this SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) digest: [u8; 32],
    /// r and s (RFC 6605 §4).
    pub(crate) signature: [u8; 64],
}

impl Claim {
    /// `None` where the signature is no pair of numbers.
    pub(crate) fn new(data: &[u8], signature: &[u8]) -> Option<Self> {
        let digest = digest::digest(&digest::SHA256, data).as_ref().try_into().ok()?;
        Some(Self { digest, signature: signature.try_into().ok()? })
    }
}

/// A key that many signatures are verified with. Takes a mebibyte.
pub(crate) struct Verifier {
    generator: Table,
    key: Table,
}

impl Verifier {
    /// The key of a DNSKEY record, x and y; `None` where that is no point of the curve.
    pub(crate) fn new(key: &[u8; 64]) -> Option<Self> {
        let [x, y] = halves(key);
        let key = Table::new(Point { x, y })?;
        Some(Self { generator: Table::new(G)?, key })
    }

    /// Which of the claims are surely good.
    pub(crate) fn accepted(&self, claims: &[Claim]) -> Vec<bool> {
        if claims.is_empty() {
            return Vec::new();
        }
        let mut states: Vec<State> = claims.iter().map(State::new).collect();
        let mut room = Vec::new();
        let mut inverses: Vec<Limbs> = states.iter().map(|state| N.to_form(&state.s)).collect();
        N.invert_all(&mut inverses, &mut room);
        let scalars: Vec<[Limbs; 2]> = states
            .iter()
            .zip(claims)
            .zip(&inverses)
            // A product of one number in form and one that is not is not in form.
            .map(|((state, claim), inverse)| {
                let digest = N.reduce(&from_octets(&claim.digest));
                [N.multiply(inverse, &digest), N.multiply(inverse, &state.r)]
            })
            .collect();
        let mut sums: Vec<Sum> = states.iter().map(|state| state.sum).collect();
        let mut adder = Adder::default();
        for (which, table) in [&self.generator, &self.key].into_iter().enumerate() {
            for window in 0..WINDOWS {
                let row = &table.rows[window * MULTIPLES..][..MULTIPLES];
                adder.add(&mut sums, |at| {
                    let octet = (scalars[at][which][window / 8] >> (window % 8 * 8)) as u8;
                    row.get(usize::from(octet).checked_sub(1)?)
                });
            }
        }
        for (state, sum) in states.iter_mut().zip(sums) {
            state.sum = sum;
        }
        states.iter().map(State::is_good).collect()
    }
}

/// Where the work on one signature stands.
struct State {
    r: Limbs,
    /// 1 in place of what is out of range, so that it can be inverted.
    s: Limbs,
    sum: Sum,
}

impl State {
    fn new(claim: &Claim) -> Self {
        let [r, s] = halves(&claim.signature);
        let in_range = |number: &Limbs| N.holds(number) && *number != [0; 4];
        match in_range(&r) && in_range(&s) {
            true => Self { r, s, sum: Sum::Nothing },
            false => Self { r, s: [1, 0, 0, 0], sum: Sum::GivenUp },
        }
    }

    /// Whether the sum's x, modulo n, is r: x may be r or r + n, if that is below p.
    fn is_good(&self) -> bool {
        matches!(&self.sum, Sum::Point(point) if N.reduce(&P.out_of_form(&point.x)) == self.r)
    }
}

/// A point that is not at infinity; its coordinates are in form but for constants and keys.
#[derive(Clone, Copy)]
struct Point {
    x: Limbs,
    y: Limbs,
}

impl Point {
    /// Twice the point: no point of the curve has y = 0, since the order of the group is odd.
    fn twice(&self) -> Self {
        let square = P.multiply(&self.x, &self.x);
        let less = P.subtract(&square, &P.one);
        let above = P.add(&P.add(&less, &less), &less);
        let slope = P.multiply(&above, &P.invert(&P.add(&self.y, &self.y)));
        self.third(&self.x, &slope)
    }

    /// The sum of this point and another with this x, on the line through both with this slope.
    fn third(&self, other_x: &Limbs, slope: &Limbs) -> Self {
        let x = P.subtract(&P.subtract(&P.multiply(slope, slope), &self.x), other_x);
        let y = P.subtract(&P.multiply(slope, &P.subtract(&self.x, &x)), &self.y);
        Self { x, y }
    }

    /// y^2 = x^3 - 3x + b, of a point in form.
    fn is_on_curve(&self) -> bool {
        let cube = P.multiply(&P.multiply(&self.x, &self.x), &self.x);
        let thrice = P.add(&P.add(&self.x, &self.x), &self.x);
        P.multiply(&self.y, &self.y) == P.add(&P.subtract(&cube, &thrice), &P.to_form(&B))
    }
}

/// A sum of points so far.
#[derive(Clone, Copy)]
enum Sum {
    Nothing,
    Point(Point),
    /// Out of range, or at a point that needs another formula.
    GivenUp,
}

/// 1 to 255 times 2^0, 2^8, 2^16 … times a point.
struct Table {
    rows: Vec<Point>,
}

impl Table {
    /// The table of a point that is not in form; `None` where it is not on the curve.
    fn new(point: Point) -> Option<Self> {
        if !P.holds(&point.x) || !P.holds(&point.y) {
            return None;
        }
        let mut first = Point { x: P.to_form(&point.x), y: P.to_form(&point.y) };
        if !first.is_on_curve() {
            return None;
        }
        let mut firsts = Vec::with_capacity(WINDOWS);
        for _ in 0..WINDOWS {
            firsts.push(first);
            first = (0..8).fold(first, |point, _| point.twice());
        }
        let mut rows = vec![G; WINDOWS * MULTIPLES];
        let mut sums: Vec<Sum> = firsts.iter().map(|first| Sum::Point(first.twice())).collect();
        let mut adder = Adder::default();
        for multiple in 1..MULTIPLES {
            for (window, sum) in sums.iter().enumerate() {
                let Sum::Point(point) = sum else { return None };
                rows[window * MULTIPLES] = firsts[window];
                rows[window * MULTIPLES + multiple] = *point;
            }
            // No multiple below the group's order is the point or its negative.
            adder.add(&mut sums, |window| firsts.get(window));
        }
        Some(Self { rows })
    }
}

/// Adds to many sums at once.
#[derive(Default)]
struct Adder {
    /// Differences of x, whose inverses the slopes need, and whose they are.
    differences: Vec<Limbs>,
    pairs: Vec<(usize, Point)>,
    room: Vec<Limbs>,
}

impl Adder {
    /// Adds to each sum the point that belongs to its index, if any.
    fn add<'p>(&mut self, sums: &mut [Sum], point: impl Fn(usize) -> Option<&'p Point>) {
        self.differences.clear();
        self.pairs.clear();
        for (at, sum) in sums.iter_mut().enumerate() {
            let Some(point) = point(at) else { continue };
            match sum {
                Sum::Nothing => *sum = Sum::Point(*point),
                Sum::Point(so_far) if so_far.x == point.x => *sum = Sum::GivenUp,
                Sum::Point(so_far) => {
                    self.differences.push(P.subtract(&point.x, &so_far.x));
                    self.pairs.push((at, *point));
                }
                Sum::GivenUp => {}
            }
        }
        P.invert_all(&mut self.differences, &mut self.room);
        for ((at, point), inverse) in self.pairs.iter().zip(&self.differences) {
            if let Sum::Point(so_far) = &mut sums[*at] {
                let slope = P.multiply(&P.subtract(&point.y, &so_far.y), inverse);
                *so_far = so_far.third(&point.x, &slope);
            }
        }
    }
}

/// Two numbers as they stand on the wire.
fn halves(octets: &[u8; 64]) -> [Limbs; 2] {
    let (halves, _) = octets.as_chunks::<32>();
    [from_octets(&halves[0]), from_octets(&halves[1])]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    };

    use super::*;

    /// A key, known by its private number so that cases can be made that no signer meets.
    struct Signer {
        pair: EcdsaKeyPair,
        key: [u8; 64],
        verifier: Verifier,
    }

    impl Signer {
        fn new() -> Self {
            let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
            let key = pair.public_key().as_ref()[1..].try_into().unwrap();
            let verifier = Verifier::new(&key).unwrap();
            Self { pair, key, verifier }
        }

        fn sign(&self, data: &[u8]) -> [u8; 64] {
            self.pair.sign(&SystemRandom::new(), data).unwrap().as_ref().try_into().unwrap()
        }
    }

    fn ring_accepts(key: &[u8; 64], data: &[u8], signature: &[u8; 64]) -> bool {
        let key = [&[4][..], key].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(data, signature).is_ok()
    }

    fn octets(number: &Limbs) -> [u8; 32] {
        let mut octets = [0; 32];
        for (eight, limb) in octets.chunks_exact_mut(8).zip(number.iter().rev()) {
            eight.copy_from_slice(&limb.to_be_bytes());
        }
        octets
    }

    fn pair(r: &Limbs, s: &Limbs) -> [u8; 64] {
        [octets(r), octets(s)].concat().try_into().unwrap()
    }

    /// `scalar` times the generator, by doubling and adding, in form.
    fn times_generator(scalar: &Limbs) -> Point {
        let generator = Point { x: P.to_form(&G.x), y: P.to_form(&G.y) };
        let mut sums = [Sum::Nothing];
        for bit in (0..256).rev() {
            if let Sum::Point(point) = &mut sums[0] {
                *point = point.twice();
            }
            if scalar[bit / 64] >> (bit % 64) & 1 == 1 {
                Adder::default().add(&mut sums, |_| Some(&generator));
            }
        }
        let [Sum::Point(point)] = sums else { panic!("at infinity") };
        point
    }

    fn number(low: u64) -> Limbs {
        [low, 0, 0, 0]
    }

    /// n + `low`.
    fn above_order(low: u64) -> Limbs {
        let order = from_octets(&N_OCTETS);
        [order[0] + low, order[1], order[2], order[3]]
    }

    const N_OCTETS: [u8; 32] =
        *b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";

    /// What is wrong with a signature, in numbers that a test draws.
    #[derive(Clone, Debug)]
    enum Change {
        None,
        Bit(usize),
        DigestBit(usize),
        HighS,
        OtherMessage,
        Replace(usize, [u8; 32]),
        Both([u8; 32], [u8; 32]),
    }

    fn special() -> impl Strategy<Value = [u8; 32]> {
        prop_oneof![
            Just([0; 32]),
            Just([255; 32]),
            any::<[u8; 32]>(),
            (0u64..4).prop_map(|low| octets(&number(low))),
            (0u64..4).prop_map(|low| octets(&above_order(low))),
            (1u64..4).prop_map(|less| octets(&N.subtract(&[0; 4], &number(less)))),
            (0u64..4).prop_map(|less| octets(&P.subtract(&[0; 4], &number(less)))),
        ]
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::None),
            (0usize..512).prop_map(Change::Bit),
            (0usize..256).prop_map(Change::DigestBit),
            Just(Change::HighS),
            Just(Change::OtherMessage),
            (0usize..2, special()).prop_map(|(which, octets)| Change::Replace(which, octets)),
            (special(), special()).prop_map(|(r, s)| Change::Both(r, s)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn a_batch_is_judged_as_ring_judges_each(
            cases in proptest::collection::vec((any::<[u8; 8]>(), change()), 1..80)
        ) {
            let signer = Signer::new();
            let mut expected = Vec::new();
            let claims: Vec<Claim> = cases
                .iter()
                .map(|(data, change)| {
                    let (mut signature, mut said) = (signer.sign(data), data.to_vec());
                    let mut digest_bit = None;
                    match change {
                        Change::None => {}
                        Change::Bit(bit) => signature[bit / 8] ^= 1 << (bit % 8),
                        Change::DigestBit(bit) => digest_bit = Some(*bit),
                        Change::HighS => {
                            let [r, s] = halves(&signature);
                            signature = pair(&r, &N.subtract(&[0; 4], &s));
                        }
                        Change::OtherMessage => said.push(0),
                        Change::Replace(which, octets) => signature[which * 32..][..32].copy_from_slice(octets),
                        Change::Both(r, s) => signature = [*r, *s].concat().try_into().unwrap(),
                    }
                    let mut claim = Claim::new(&said, &signature).unwrap();
                    if let Some(bit) = digest_bit {
                        claim.digest[bit / 8] ^= 1 << (bit % 8);
                    }
                    // No message is known that has a digest with one bit changed.
                    expected.push(digest_bit.is_none() && ring_accepts(&signer.key, &said, &signature));
                    claim
                })
                .collect();
            prop_assert_eq!(signer.verifier.accepted(&claims), expected);
        }

        #[test]
        fn a_key_with_a_bit_changed_is_no_point_or_accepts_nothing(bit in 0usize..512) {
            let signer = Signer::new();
            let mut key = signer.key;
            key[bit / 8] ^= 1 << (bit % 8);
            let signature = signer.sign(b"data");
            prop_assert!(!ring_accepts(&key, b"data", &signature));
            let claim = Claim::new(b"data", &signature).unwrap();
            prop_assert!(Verifier::new(&key).is_none_or(|verifier| verifier.accepted(&[claim]) == [false]));
        }
    }

    #[test]
    fn keys_that_are_no_points_have_no_verifier() {
        let key = |x: &Limbs, y: &Limbs| Verifier::new(&pair(x, y)).is_some();
        assert!(key(&G.x, &G.y));
        assert!(!key(&G.y, &G.x));
        assert!(!key(&[0; 4], &[0; 4]));
        assert!(!key(&number(1), &number(1)));
        assert!(!key(&[u64::MAX; 4], &G.y));
        // Points with small x: the same number written above p is not to be taken.
        let (low, point) = (0u64..).find_map(|low| Some((low, lift(&number(low))?))).unwrap();
        let y = P.out_of_form(&point.y);
        assert!(key(&number(low), &y));
        let p: Limbs = [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];
        assert!(low == 0 || !key(&[low - 1, p[1] + 1, 0, p[3]], &y));
        assert!(low != 0 || !key(&p, &y));
        assert!(!key(&G.x, &P.subtract(&G.y, &number(1))));
        // The negative of the generator is a key like others.
        assert!(key(&G.x, &P.subtract(&[0; 4], &G.y)));
    }

    #[test]
    fn an_x_that_is_above_the_order_counts_modulo_it() {
        // The key is made backwards from a point R with n <= x < p and s = 1: R = (e G + r Q) / s, so that
        // Q = (s R - e G) / r. Ring must take the signature as well.
        let digest = digest::digest(&digest::SHA256, b"any");
        let e = N.reduce(&from_octets(digest.as_ref().try_into().unwrap()));
        let (low, point) = (1u64..).find_map(|low| Some((low, lift(&above_order(low))?))).unwrap();
        let r = number(low);
        let inverse = N.out_of_form(&N.invert(&N.to_form(&r)));
        let e_point = times_generator(&e);
        let mut sum = [Sum::Point(point)];
        let negative = Point { x: e_point.x, y: P.subtract(&[0; 4], &e_point.y) };
        Adder::default().add(&mut sum, |_| Some(&negative));
        let [Sum::Point(difference)] = sum else { panic!("at infinity") };
        let key = times(&difference, &inverse);
        let key = pair(&P.out_of_form(&key.x), &P.out_of_form(&key.y));
        let signature = pair(&r, &number(1));
        assert!(ring_accepts(&key, b"any", &signature));
        let claim = Claim::new(b"any", &signature).unwrap();
        let verifier = Verifier::new(&key).unwrap();
        assert_eq!(verifier.accepted(&[claim]), [true]);
        // The same x written in full is out of range.
        let full = pair(&above_order(low), &number(1));
        assert!(!ring_accepts(&key, b"any", &full));
        assert_eq!(verifier.accepted(&[Claim { signature: full, ..claim }]), [false]);
    }

    #[test]
    fn sums_at_infinity_and_points_added_to_themselves_are_never_accepted_by_mistake() {
        // With the generator or its negative as key, and r = e or r = -e, u1 G + u2 Q is 0 or twice a point, and
        // so are its parts in each window.
        let digest = digest::digest(&digest::SHA256, b"any");
        let e = N.reduce(&from_octets(digest.as_ref().try_into().unwrap()));
        for y in [G.y, P.subtract(&[0; 4], &G.y)] {
            let key = pair(&G.x, &y);
            let verifier = Verifier::new(&key).unwrap();
            for r in [e, N.subtract(&[0; 4], &e), N.reduce(&G.x)] {
                for s in [number(1), number(2), e, N.subtract(&[0; 4], &number(1))] {
                    let signature = pair(&r, &s);
                    let accepted = verifier.accepted(&[Claim::new(b"any", &signature).unwrap()])[0];
                    assert!(!accepted || ring_accepts(&key, b"any", &signature));
                }
            }
        }
    }

    #[test]
    fn no_claims_are_none_accepted() {
        assert!(Signer::new().verifier.accepted(&[]).is_empty());
    }

    /// `scalar` times a point, in form.
    fn times(point: &Point, scalar: &Limbs) -> Point {
        let table = Table::new(Point { x: P.out_of_form(&point.x), y: P.out_of_form(&point.y) }).unwrap();
        let mut sums = [Sum::Nothing];
        for window in 0..WINDOWS {
            let octet = (scalar[window / 8] >> (window % 8 * 8)) as u8;
            let multiple = usize::from(octet).checked_sub(1).map(|at| &table.rows[window * MULTIPLES + at]);
            Adder::default().add(&mut sums, |_| multiple);
        }
        let [Sum::Point(point)] = sums else { panic!("at infinity") };
        point
    }

    /// A point with this x, in form, if there is one: p = 3 modulo 4, so a root is the power of (p + 1) / 4.
    fn lift(x: &Limbs) -> Option<Point> {
        let x = P.holds(x).then(|| P.to_form(x))?;
        let cube = P.multiply(&P.multiply(&x, &x), &x);
        let square = P.add(&P.subtract(&cube, &P.add(&P.add(&x, &x), &x)), &P.to_form(&B));
        // (p + 1) / 4 = 2^254 - 2^222 + 2^190 + 2^94.
        let exponent: Limbs = [0, 1 << 30, 1 << 62, 0x3fff_ffff_c000_0000];
        let mut y = P.one;
        for bit in (0..256).rev() {
            y = P.multiply(&y, &y);
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                y = P.multiply(&y, &square);
            }
        }
        let point = Point { x, y };
        point.is_on_curve().then_some(point)
    }
}
