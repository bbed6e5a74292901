//! The weights of a block: their names, as others name them where others have them, their sizes, and their order.
use super::weights::{Role, Weight};
use crate::config::{Experts, Mixer, Shape, Views};

/// The names and sizes of one block.
struct Block<'a> {
    shape: &'a Shape,
    at: usize,
    all: Vec<Weight>,
}

impl Weight {
    /// The weights of block number `at`, in their order.
    pub fn of_block(shape: &Shape, at: usize) -> Vec<Self> {
        let mut block = Block { shape, at, all: Vec::new() };
        block.norm("input_layernorm", shape.width);
        match shape.mixer(at) {
            Mixer::Attention => block.attention(),
            Mixer::Mla => block.mla(),
            Mixer::Ttt => block.ttt(),
            Mixer::Bk => block.bk(),
            Mixer::Hyperbolic => {
                block.attention();
                block.norm("self_attn.curvature", shape.heads);
                block.norm("self_attn.sharpness", shape.heads);
            }
        }
        block.norm("post_attention_layernorm", shape.width);
        match shape.experts_of(at) {
            None => block.swiglu("mlp", shape.ffn),
            Some(experts) => block.experts(experts),
        }
        block.all
    }
}

impl Block<'_> {
    fn row(&mut self, name: &str, width: usize) {
        let name = format!("model.layers.{}.{name}", self.at);
        self.all.push(Weight { name, shape: vec![width], role: Role::Norm });
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.row(&format!("{name}.weight"), width);
    }

    fn one(&mut self, name: &str, out: usize, input: usize) {
        let name = format!("model.layers.{}.{name}.weight", self.at);
        self.all.push(Weight { name, shape: vec![out, input], role: Role::Matrix });
    }

    /// A matrix, or the two whose product it is.
    fn matrix(&mut self, name: &str, out: usize, input: usize) {
        match self.shape.low_rank {
            None => self.one(name, out, input),
            Some(rank) => {
                self.one(&format!("{name}.a"), rank, input);
                self.one(&format!("{name}.b"), out, rank);
            }
        }
    }

    fn swiglu(&mut self, module: &str, inner: usize) {
        let width = self.shape.width;
        self.matrix(&format!("{module}.gate_proj"), inner, width);
        self.matrix(&format!("{module}.up_proj"), inner, width);
        self.matrix(&format!("{module}.down_proj"), width, inner);
    }

    fn experts(&mut self, experts: Experts) {
        let (count, inner) = (experts.count, self.shape.of_experts());
        let own = |name: &str, shape: Vec<usize>, role| Weight {
            name: format!("model.layers.{}.mlp.gate.{name}", self.at),
            shape,
            role,
        };
        let gate = own("weight", vec![count, self.shape.width], Role::Gate);
        let bias = experts.has_bias().then(|| own("e_score_correction_bias", vec![count], Role::Loads));
        self.all.extend([gate].into_iter().chain(bias));
        (0..count).for_each(|expert| self.swiglu(&format!("mlp.experts.{expert}"), inner));
        if experts.shared > 0 {
            self.swiglu("mlp.shared_experts", experts.shared * inner);
        }
    }

    fn attention(&mut self) {
        let s = self.shape;
        self.matrix("self_attn.q_proj", s.query_width(), s.width);
        self.matrix("self_attn.k_proj", s.key_width(), s.width);
        self.matrix("self_attn.v_proj", s.key_width(), s.width);
        self.matrix("self_attn.o_proj", s.width, s.query_width());
        if s.qk_norm {
            self.norm("self_attn.q_norm", s.head_width);
            self.norm("self_attn.k_norm", s.head_width);
        }
    }

    fn mla(&mut self) {
        let (s, mla) = (self.shape, self.shape.mla());
        let queries = s.heads * mla.key_width();
        let normed = |block: &mut Self, name: &str, width| {
            if s.qk_norm {
                block.norm(name, width);
            }
        };
        match mla.query_rank {
            None => self.matrix("self_attn.q_proj", queries, s.width),
            Some(rank) => {
                self.matrix("self_attn.q_a_proj", rank, s.width);
                normed(self, "self_attn.q_a_layernorm", rank);
                self.matrix("self_attn.q_b_proj", queries, rank);
            }
        }
        self.matrix("self_attn.k_a_proj", mla.rank, s.width);
        normed(self, "self_attn.k_a_layernorm", mla.rank);
        self.matrix("self_attn.k_b_proj", s.heads * mla.nope_width, mla.rank);
        self.matrix("self_attn.k_rope_proj", mla.rope_width, s.width);
        if let Some(rank) = mla.value_rank {
            self.matrix("self_attn.v_a_proj", rank, s.width);
            normed(self, "self_attn.v_a_layernorm", rank);
        }
        self.matrix("self_attn.v_b_proj", s.query_width(), mla.value_rank());
        self.matrix("self_attn.o_proj", s.width, s.query_width());
        if mla.bias {
            self.row("self_attn.o_proj.bias", s.width);
        }
    }

    fn ttt(&mut self) {
        let s = self.shape;
        let names: &[&str] = match s.ttt().views {
            Views::Three => &["ttt.q_proj", "ttt.k_proj", "ttt.v_proj"],
            Views::One => &["ttt.k_proj"],
        };
        for name in names {
            self.matrix(name, s.query_width(), s.width);
        }
        self.matrix("ttt.o_proj", s.width, s.query_width());
    }

    fn bk(&mut self) {
        let (s, chains) = (self.shape, self.shape.chains());
        self.matrix("bk.potential_proj", chains, s.width);
        self.matrix("bk.coupling_proj", chains, s.width);
        self.matrix("bk.o_proj", s.width, 2 * chains);
        self.row("bk.potential_proj.bias", chains);
        self.row("bk.coupling_proj.bias", chains);
        self.norm("bk.eta", chains);
    }
}
