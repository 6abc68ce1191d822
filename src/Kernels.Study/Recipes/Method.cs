namespace Kernels.Study;

/// <summary>
/// A method that acts inside a network, by the layers with which it enters. Places are the network's linear layers and convolutions,
/// counted from 0; each place has random numbers of its own.
/// </summary>
/// <param name="Description">Its effect and its formula, one or two sentences for the report.</param>
internal sealed record Method(string Description)
{
    /// <summary>The layer in front of this place, or null. At place 0 it reads the images, elsewhere what came out of a ReLU.</summary>
    public Func<int, Layer?> Before { get; init; } = _ => null;

    /// <summary>What takes the place of a linear layer of so many outputs, or null.</summary>
    public Func<int, int, Layer?> Linear { get; init; } = (_, _) => null;

    /// <summary>The probability to drop the branch of a residual block, of so many.</summary>
    public Func<int, int, double> BranchDrop { get; init; } = (_, _) => 0;

    public static Method Dropout(double input, double hidden) => new(
        "Dropout: in every training step each unit is set to zero with probability p, the others are scaled, y = x·m/(1 − p), so that " +
        $"the expectation stays; {Probabilities(input, hidden)}. The mask is recomputed in the backward pass from a counter-based " +
        "generator; none is stored.")
    {
        Before = place => (place == 0 ? input : hidden) is > 0 and double p ? new DropoutLayer(p, place) : null,
    };

    public static Method GaussianDropout(double input, double hidden) => new(
        "Gaussian dropout: in every training step each unit is multiplied by a normal number of mean 1 and variance p/(1 − p), the " +
        $"variance that dropout with probability p has; {Probabilities(input, hidden)}. The backward pass draws the same numbers again. " +
        "At evaluation nothing is multiplied.")
    {
        Before = place => (place == 0 ? input : hidden) is > 0 and double p ? new GaussianDropoutLayer(p, place) : null,
    };

    public static Method AdaptiveDropout(double alpha, double beta) => new(
        "Adaptive dropout (standout): each hidden unit is kept with a probability of its own, " +
        $"π = sigmoid({alpha:0.##}·u {(beta < 0 ? "−" : "+")} {Math.Abs(beta):0.##}) of its pre-activation u, so that units without much " +
        "to say are switched off most. Kept units are not scaled; at evaluation every unit is multiplied by its π. The gradient takes " +
        "the mask as a constant.")
    {
        Before = place => place == 0 ? null : new AdaptiveDropoutLayer(alpha, beta, place),
    };

    /// <summary>On the maps that convolutions read, from the first of these places to the last.</summary>
    public static Method DropBlock(double probability, int size, int first, int last) => new(
        $"DropBlock: in every training step squares of {size} × {size} cells are set to zero in each map, so many that a cell is dropped " +
        $"with probability p = {probability:0.##}, and the others are scaled to keep the sum's expectation; on the maps that " +
        $"convolutions {first + 1} to {last + 1} read. The mask is drawn again in the backward pass.")
    {
        Before = place => place >= first && place <= last ? new DropBlockLayer(probability, size, place) : null,
    };

    /// <summary>On what the layer at this place reads.</summary>
    public static Method FeatureNoise(double factor, int place) => new(
        $"Noise in feature space (DeVries and Taylor, 2017): in every training step x + {factor:0.##}·σ·z takes the place of the " +
        "features x that the last layer reads, z standard normal and σ the deviation of each feature among the images of the same class " +
        "in the batch.")
    {
        Before = other => other == place ? new FeatureNoiseLayer(factor, place) : null,
    };

    /// <summary>In one linear layer, a hidden one.</summary>
    public static Method DropConnect(int layer, double probability, int samples) => new(
        $"DropConnect: in hidden layer {layer + 1} every image of a batch has a mask of its own over all weights and biases, which drops " +
        $"them with probability p = {probability:0.##}; what is kept is scaled by 1/(1 − p). The masks are drawn where they are used, " +
        "forward and backward; none is stored. At evaluation the layer's sums are taken as normally distributed with the mean and " +
        $"variance that the masks give them, and its outputs are the means of ReLU over {samples} samples.")
    {
        Linear = (place, outputs) => place == layer ? new DropConnectLayer(outputs, probability, samples, place) : null,
    };

    /// <summary>
    /// By the linear decay rule: the branch of the last residual block is dropped with the given probability, earlier ones less often.
    /// </summary>
    public static Method StochasticDepth(double last) => new(
        "Stochastic depth: in every training step each image skips the branch of residual block l of L with probability p·l/L, " +
        $"p = {last:0.##}, y = ReLU(x + b·f(x)) with b = 0; where the branch is kept, b makes up for it, so that the expectation stays. " +
        "At evaluation b = 1.")
    {
        BranchDrop = (block, blocks) => Kernels.StochasticDepth.LinearDecay(blocks, last, DepthIndexing.FromOne)[block],
    };

    private static string Probabilities(double input, double hidden) =>
        $"p = {hidden:0.##} in the hidden layers" + (input > 0 ? $", {input:0.##} for the pixels" : "");
}
