//! The chance that lm-evaluation-harness takes examples by, which is Python's: a Mersenne Twister, and `random.sample` over it.

const SIZE: usize = 624;
const MIDDLE: usize = 397;

/// Python's `random.Random(seed)`.
pub(crate) struct Python {
    state: [u32; SIZE],
    next: usize,
}

impl Python {
    pub(crate) fn new(seed: u32) -> Self {
        // The seed goes in as a list of one number, over the state of another seed.
        let mut state = [0; SIZE];
        state[0] = 19_650_218_u32;
        for at in 1..SIZE {
            state[at] = mixed(state[at - 1]).wrapping_mul(1_812_433_253).wrapping_add(at as u32);
        }
        let mut at = 1;
        for _ in 0..SIZE {
            state[at] = (state[at] ^ mixed(state[at - 1]).wrapping_mul(1_664_525)).wrapping_add(seed);
            at = following(&mut state, at);
        }
        for _ in 1..SIZE {
            let from = mixed(state[at - 1]).wrapping_mul(1_566_083_941);
            state[at] = (state[at] ^ from).wrapping_sub(at as u32);
            at = following(&mut state, at);
        }
        state[0] = 1 << 31;
        Self { state, next: SIZE }
    }

    fn number(&mut self) -> u32 {
        if self.next == SIZE {
            for at in 0..SIZE {
                let high = (self.state[at] & (1 << 31)) | (self.state[(at + 1) % SIZE] & !(1 << 31));
                let odd = if high & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[at] = self.state[(at + MIDDLE) % SIZE] ^ (high >> 1) ^ odd;
            }
            self.next = 0;
        }
        let mut number = self.state[self.next];
        self.next += 1;
        number ^= number >> 11;
        number ^= (number << 7) & 0x9d2c_5680;
        number ^= (number << 15) & 0xefc6_0000;
        number ^ (number >> 18)
    }

    /// A number below `end`, which fits in 32 bits.
    fn below(&mut self, end: usize) -> usize {
        let bits = usize::BITS - end.leading_zeros();
        loop {
            let number = (self.number() >> (32 - bits.clamp(1, 32))) as usize;
            if number < end {
                return number;
            }
        }
    }

    /// Some places of `all`, each once, as `random.sample` gives them; all where there are no more.
    pub(crate) fn sample(&mut self, all: usize, count: usize) -> Vec<usize> {
        let count = count.min(all);
        let mut room = 21_usize;
        if count > 5 {
            room += 4_usize.pow(((count * 3) as f64).log(4.0).ceil() as u32);
        }
        if all <= room {
            let mut pool: Vec<usize> = (0..all).collect();
            return (0..count)
                .map(|taken| {
                    let at = self.below(all - taken);
                    let chosen = pool[at];
                    pool[at] = pool[all - taken - 1];
                    chosen
                })
                .collect();
        }
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let at = self.below(all);
            if !chosen.contains(&at) {
                chosen.push(at);
            }
        }
        chosen
    }
}

fn mixed(number: u32) -> u32 {
    number ^ (number >> 30)
}

fn following(state: &mut [u32; SIZE], at: usize) -> usize {
    if at + 1 < SIZE {
        return at + 1;
    }
    state[0] = state[SIZE - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_python() {
        // `r = random.Random(1234)`, and what it says.
        let mut python = Python::new(1234);
        assert_eq!([python.number(), python.number(), python.number()], [4150886329, 3342196574, 1892932127]);
        let mut python = Python::new(1234);
        let four: Vec<_> = (0..4).map(|_| python.sample(1000, 3)).collect();
        assert_eq!(four, [[989, 796, 451], [119, 7, 92], [932, 965, 961], [826, 596, 35]]);
        let mut python = Python::new(1234);
        let four: Vec<_> = (0..4).map(|_| python.sample(10, 3)).collect();
        assert_eq!(four, [[7, 1, 0], [1, 0, 9], [1, 5, 3], [0, 9, 8]]);
        assert_eq!(python.sample(40, 8), [22, 30, 29, 9, 5, 11, 7, 0]);
        assert_eq!(python.sample(40, 8), [32, 31, 15, 4, 34, 29, 36, 5]);
    }
}
