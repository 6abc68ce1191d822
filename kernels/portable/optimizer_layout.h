// The tables that the host writes; where settings need it, a launch before the pass prepares the second one for the
// step. Structs of reals, so that no compiler leaves gaps; C# has the same ones, and a test compares the two field by
// field.

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
    real gradient_norm;
} step_progress;
