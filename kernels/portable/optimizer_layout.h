// The tables that the host writes and the step before the pass prepares for it. Structs of reals, so that no compiler
// leaves gaps; C# has the same ones, and a test compares the two field by field.

#define RULE_WORDS 6

// What holds for a group of parameters. A decay, a strength or a norm of 0 is absent.
typedef struct {
    real learning_rate;
    real coupled_decay;   // joins the gradient
    real decoupled_decay; // takes its share of the weight before the step
    real proximal_decay;  // shrinks the weight after the step
    real subgradient_l1;  // joins the gradient
    real proximal_l1;     // thresholds the weight after the step
    real maximum_norm;    // of a row
    real average_decay;   // of the moving average of the weights
    real average_share;   // 1 - average_decay
    real first_log;       // -log of the decay of the rule's first moment
    real second_log;      // the same of its second moment
    real rule[RULE_WORDS];
} group_options;

// What holds for a step. Gradients are multiplied by the scale, a power of two, and then by the factor; the scale is
// below 1 where the factor alone would underflow.
typedef struct {
    real gradient_scale;
    real gradient_factor;
    real skips;
    real is_first; // nothing was stored yet
    real gradient_norm;
} step_progress;

// What holds for a group at a step, as the rules multiply by it. decay is that of the rule's first or second moment.
typedef struct {
    real learning_rate;
    real decay_factor; // decoupled decay: 1 - rate * decay
    real threshold;    // proximal L1: rate * l1
    real shrinkage;    // proximal L2: 1 / (1 + rate * l2)
    real first_rate;   // rate / (1 - decay^step)
    real second_root;  // 1 / sqrt(1 - decay^step)
} group_progress;
