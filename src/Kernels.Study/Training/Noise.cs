namespace Kernels.Study;

/// <summary>Dropout on the input and on each hidden layer, inverted scaling: y = x m / (1 - p), m = 0 with probability p.</summary>
internal sealed class LayerDropout(double input, double hidden) : Regularizer
{
    public override string Description =>
        "Dropout: in every training step each unit is set to zero with probability p, the others are scaled, y = x·m/(1 − p), so " +
        $"that the expectation stays; p = {hidden:0.##} in the hidden layers" + (input > 0 ? $", {input:0.##} for the pixels. " : ". ") +
        "The mask is recomputed in the backward pass from a counter-based generator; none is stored.";

    public override bool OnActivations(DeviceStream stream, in TrainingStep? step, int layer, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        if (step is not { } training || ProbabilityAt(layer) is not (double p and > 0)) return false;
        Dropout.Forward(stream, x, y, p, training.KeyFor(RandomPurpose.Dropout, layer));
        return true;
    }

    public override void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> x, DeviceTensor<float> gradient)
    {
        if (ProbabilityAt(layer) is double p and > 0)
            Dropout.Backward(step.Stream, gradient, gradient, p, step.KeyFor(RandomPurpose.Dropout, layer));
    }

    private double ProbabilityAt(int layer) => layer == 0 ? input : hidden;
}

/// <summary>
/// Gaussian dropout on the input and on each hidden layer: y = x (1 + sigma z), z standard normal, sigma^2 = p / (1 - p).
/// </summary>
internal sealed class LayerGaussianDropout(double input, double hidden) : Regularizer
{
    public override string Description =>
        "Gaussian dropout: in every training step each unit is multiplied by a normal number of mean 1 and variance p/(1 − p), " +
        $"the variance that dropout with probability p has; p = {hidden:0.##} in the hidden layers" +
        (input > 0 ? $", {input:0.##} for the pixels. " : ". ") +
        "The backward pass draws the same numbers again. At evaluation nothing is multiplied.";

    public override bool OnActivations(DeviceStream stream, in TrainingStep? step, int layer, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        if (step is not { } training || ProbabilityAt(layer) is not (double p and > 0)) return false;
        GaussianDropout.Forward(stream, x, y, p, training.KeyFor(RandomPurpose.GaussianDropout, layer));
        return true;
    }

    public override void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> x, DeviceTensor<float> gradient)
    {
        if (ProbabilityAt(layer) is double p and > 0)
            GaussianDropout.Backward(step.Stream, gradient, gradient, p, step.KeyFor(RandomPurpose.GaussianDropout, layer));
    }

    private double ProbabilityAt(int layer) => layer == 0 ? input : hidden;
}

/// <summary>
/// Adaptive dropout (standout) on each hidden layer: a unit is kept with the probability sigmoid(alpha u + beta) that its own
/// pre-activation u gives. It has to be the first method on its layer, as backward looks at what it read.
/// </summary>
/// <remarks>
/// The unit's ReLU output stands in for its pre-activation: where the two differ the unit is 0, kept or not.
/// </remarks>
internal sealed class LayerAdaptiveDropout(double alpha, double beta) : Regularizer
{
    public override string Description =>
        "Adaptive dropout (standout): each hidden unit is kept with a probability of its own, " +
        $"π = sigmoid({alpha:0.##}·u {(beta < 0 ? "−" : "+")} {Math.Abs(beta):0.##}) of its pre-activation u, so that units without much " +
        "to say are switched off most. Kept units are not scaled; at evaluation every unit is multiplied by its π. The gradient takes " +
        "the " +
        "mask as a constant.";

    public override bool OnActivations(DeviceStream stream, in TrainingStep? step, int layer, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        if (layer == 0) return false;
        if (step is { } training)
            AdaptiveDropout.Forward(stream, x, x, y, alpha, beta, training.KeyFor(RandomPurpose.AdaptiveDropout, layer));
        else
            AdaptiveDropout.Infer(stream, x, x, y, alpha, beta);
        return true;
    }

    public override void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> x, DeviceTensor<float> gradient) =>
        AdaptiveDropout.Backward(
            step.Stream, x, x, gradient, gradient, dPre: null, alpha, beta, AdaptiveEstimator.MaskConstant,
            step.KeyFor(RandomPurpose.AdaptiveDropout, layer));
}

/// <summary>DropConnect in one layer, a hidden one: each weight and bias is dropped anew for every example of a batch.</summary>
internal sealed class LayerDropConnect(int layer, double probability, int samples) : Regularizer
{
    public override string Description =>
        $"DropConnect: in hidden layer {layer + 1} every image of a batch has a mask of its own over all weights and biases, which drops " +
        $"them with probability p = {probability:0.##}; what is kept is scaled by 1/(1 − p). The masks are drawn where they are used, " +
        "forward and backward; none is stored. At evaluation the layer's sums are taken as normally distributed with the mean and " +
        $"variance that the masks give them, and its outputs are the means of ReLU over {samples} samples.";

    public override bool OnLinear(
        DeviceStream stream, in TrainingStep? step, int place, in LinearLayer parameters, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        if (place != layer) return false;
        (DeviceTensor<float> w, DeviceTensor<float> b) = (parameters.Weight, parameters.Bias);
        if (step is { } training)
            DropConnect.Forward(stream, x, w, b, y, probability, training.KeyFor(RandomPurpose.DropConnect, layer));
        else
            DropConnect.Infer(stream, x, w, b, y, null, null, probability, DropConnectActivation.Relu, samples, EvaluationKey);
        return true;
    }

    public override bool OnLinearGradient(
        in TrainingStep step, int place, in LinearLayer parameters, DeviceTensor<float> x, DeviceTensor<float> dy, DeviceTensor<float>? dx)
    {
        if (place != layer) return false;
        DropConnect.Backward(
            step.Stream, x, parameters.Weight, dy, dx, parameters.WeightGradient, parameters.BiasGradient, probability,
            step.KeyFor(RandomPurpose.DropConnect, layer));
        return true;
    }

    /// <summary>The same for every evaluation, so that epochs are measured alike.</summary>
    private static RandomKey EvaluationKey => StudyRandom.KeyFor(0, RandomPurpose.Evaluation);
}

/// <summary>
/// Stochastic depth per row with the linear decay rule: the branch of the last residual block is dropped with the given probability,
/// earlier ones less often.
/// </summary>
internal sealed class BranchDrop(double last) : Regularizer
{
    public override string Description =>
        "Stochastic depth: in every training step each image skips the branch of residual block l of L with probability p·l/L, " +
        $"p = {last:0.##}, y = ReLU(x + b·f(x)) with b = 0; where the branch is kept, b makes up for it, so that the expectation stays. " +
        "At evaluation b = 1.";

    public override double BranchDropProbability(int block, int blocks) =>
        StochasticDepth.LinearDecay(blocks, last, DepthIndexing.FromOne)[block];
}
