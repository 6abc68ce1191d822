namespace Kernels.Cli.Study;

/// <summary>One training step of one run: where to launch, and the source of its random keys.</summary>
internal readonly record struct TrainingStep(DeviceStream Stream, int Seed, long Index)
{
    // More than a network here will ever have layers: keys of different steps must not meet.
    private const long LayersPerStep = 64;

    /// <summary>The key for one draw in this step. Forward and backward ask for the same key and so see the same mask.</summary>
    public RandomKey KeyFor(RandomPurpose purpose, int layer) =>
        StudyRandom.KeyFor(Seed, purpose, (Index * LayersPerStep) + layer);
}

/// <summary>
/// One method that acts on training and leaves evaluation alone. Each hook does nothing unless a method overrides it, so a new method is one
/// class with the hooks it needs and one row in <see cref="Recipes"/>. Objects are settings without state: every run may share them.
/// </summary>
internal abstract class Regularizer
{
    /// <summary>What it does and its formula, one or two sentences for the report.</summary>
    public abstract string Description { get; }

    /// <summary>Changes the optimizer's settings for weights; biases are not regularized.</summary>
    public virtual SgdOptions ForWeights(SgdOptions options) => options;

    /// <summary>Changes the activations of a layer in place; layer 0 is the input batch.</summary>
    public virtual void OnActivations(in TrainingStep step, int layer, DeviceTensor<float> activations)
    {
    }

    /// <summary>Carries the gradient back through what <see cref="OnActivations"/> did, in place.</summary>
    public virtual void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> gradient)
    {
    }
}

/// <summary>L2 penalty on the weights, coupled: its gradient passes through the momentum like the loss's.</summary>
internal sealed class L2Penalty(double strength) : Regularizer
{
    public override string Description =>
        $"L2 penalty: the optimizer sees g + λw instead of the gradient g of each weight w, with λ = {strength:0.######}. " +
        "Weights that the data does not keep pulling at shrink.";

    public override SgdOptions ForWeights(SgdOptions options) => options with { WeightDecay = strength };
}

/// <summary>Dropout on the input and on each hidden layer, inverted scaling: y = x m / (1 - p), m = 0 with probability p.</summary>
internal sealed class LayerDropout(double input, double hidden) : Regularizer
{
    public override string Description =>
        "Dropout: in every training step each unit is set to zero with probability p, the others are scaled, y = x·m/(1 − p), so that the " +
        $"expectation stays; p = {hidden:0.##} in the hidden layers" + (input > 0 ? $", {input:0.##} for the pixels. " : ". ") +
        "The mask is recomputed in the backward pass from a counter-based generator; none is stored.";

    public override void OnActivations(in TrainingStep step, int layer, DeviceTensor<float> activations)
    {
        if (ProbabilityAt(layer) is double p and > 0)
            Dropout.Forward(step.Stream, activations, activations, p, step.KeyFor(RandomPurpose.Dropout, layer));
    }

    public override void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> gradient)
    {
        if (ProbabilityAt(layer) is double p and > 0)
            Dropout.Backward(step.Stream, gradient, gradient, p, step.KeyFor(RandomPurpose.Dropout, layer));
    }

    private double ProbabilityAt(int layer) => layer == 0 ? input : hidden;
}
