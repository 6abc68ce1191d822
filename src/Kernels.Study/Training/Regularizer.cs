namespace Kernels.Study;

/// <summary>One training step of one run: where to launch, and the source of its random keys.</summary>
internal readonly record struct TrainingStep(DeviceStream Stream, int Seed, long Index)
{
    // More than a network here will ever have layers: keys of different steps must not meet.
    private const long LayersPerStep = 64;

    /// <summary>The key for one draw in this step. Forward and backward ask for the same key and so see the same mask.</summary>
    public RandomKey KeyFor(RandomPurpose purpose, int layer) =>
        StudyRandom.KeyFor(Seed, purpose, (Index * LayersPerStep) + layer);
}

/// <summary>A linear layer's weights [outputs, inputs] and bias [outputs], and where their gradients go.</summary>
internal readonly record struct LinearLayer(
    DeviceTensor<float> Weight, DeviceTensor<float> Bias, DeviceTensor<float> WeightGradient, DeviceTensor<float> BiasGradient);

/// <summary>
/// One method of regularization. Each hook does nothing unless a method overrides it, so a new method is one class with the hooks it needs
/// and one row in <see cref="Recipes"/>. Objects are settings without state: every run may share them. Hooks of the forward pass are called
/// in training with the step, and in evaluation without: there a method does what its inference rule says, most of them nothing.
/// </summary>
internal abstract class Regularizer
{
    /// <summary>Its effect and its formula, one or two sentences for the report.</summary>
    public abstract string Description { get; }

    /// <summary>Changes the optimizer's settings for weights; biases are not regularized.</summary>
    public virtual OptimizerOptions ForWeights(OptimizerOptions options) => options;

    /// <summary>Changes the settings of the training loss. Evaluations measure the plain loss.</summary>
    public virtual CrossEntropyOptions ForLoss(CrossEntropyOptions options) => options;

    /// <summary>
    /// Writes what a layer shall read instead of <paramref name="x"/> to <paramref name="y"/> and returns true, or does nothing. Layer 0
    /// reads the images, the others what came out of a ReLU. Where an earlier method acted on the layer already, y is x.
    /// </summary>
    public virtual bool OnActivations(
        DeviceStream stream, in TrainingStep? step, int layer, DeviceTensor<float> x, DeviceTensor<float> y) => false;

    /// <summary>Carries the gradient back through what <see cref="OnActivations"/> did to <paramref name="x"/>, in place.</summary>
    public virtual void OnGradient(in TrainingStep step, int layer, DeviceTensor<float> x, DeviceTensor<float> gradient)
    {
    }

    /// <summary>Takes the place of <see cref="Linear.Forward"/> in a layer and returns true, or does nothing.</summary>
    public virtual bool OnLinear(
        DeviceStream stream, in TrainingStep? step, int layer, in LinearLayer parameters, DeviceTensor<float> x,
        DeviceTensor<float> y) => false;

    /// <summary>Takes the place of <see cref="Linear.Backward"/> where <see cref="OnLinear"/> took that of forward.</summary>
    public virtual bool OnLinearGradient(
        in TrainingStep step, int layer, in LinearLayer parameters, DeviceTensor<float> x, DeviceTensor<float> dy,
        DeviceTensor<float>? dx) => false;

    /// <summary>
    /// The probability to drop the branch of residual block number <paramref name="block"/> of <paramref name="blocks"/>, counted from 0.
    /// </summary>
    public virtual double BranchDropProbability(int block, int blocks) => 0;
}
