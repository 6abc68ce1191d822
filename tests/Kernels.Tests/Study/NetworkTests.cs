using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class NetworkTests
{
    private const int Rows = 20;

    private static readonly StudyData Data = StudyFixtures.SmallData();
    private static readonly StudySettings Settings = StudyFixtures.SmallSettings;

    /// <summary>
    /// Along its own gradient the loss rises by the gradient's squared length, with the same random decisions everywhere.
    /// </summary>
    /// <remarks>Adaptive dropout is not here: its decisions change with the parameters, and its gradient holds them fixed.</remarks>
    [Theory]
    [InlineData("baseline")]
    [InlineData("dropout")]
    [InlineData("gaussian-dropout")]
    [InlineData("narrow")]
    [InlineData("drop-connect")]
    [InlineData("residual")]
    [InlineData("stochastic-depth")]
    [InlineData("label-smoothing")]
    [InlineData("confidence-penalty")]
    [InlineData("cnn")]
    [InlineData("cnn+batch-norm")]
    [InlineData("cnn+dropout")]
    [InlineData("cnn+drop-block")]
    [InlineData("cnn-residual")]
    [InlineData("cnn+stochastic-depth")]
    public void GradientsAreThoseOfTheLoss(string name)
    {
        using Setup setup = new(name);
        double squaredLength = setup.Gradient(out float[][] gradients);
        double step = 0.002 / Math.Sqrt(squaredLength);

        setup.Move(gradients, step);
        double above = setup.Loss();
        setup.Move(gradients, -2 * step);
        double below = setup.Loss();

        Assert.Equal(1, (above - below) / (2 * step * squaredLength), tolerance: 0.02);
    }

    [Theory]
    [InlineData("l2")]
    [InlineData("l1")]
    [InlineData("elastic-net")]
    [InlineData("adamw")]
    public void WeightsAreRegularizedAndBiasesAreNot(string name)
    {
        using Setup setup = new(name);
        (float[][] before, float[][] after) = setup.StepWithoutGradients();

        for (int i = 0; i < before.Length; i++)
        {
            if (setup.IsWeight(i))
                Assert.True(after[i].Sum(Math.Abs) < before[i].Sum(Math.Abs), $"parameter {i}");
            else
                Assert.Equal(before[i], after[i]);
        }
    }

    [Fact]
    public void AnEvaluationIsNotRandom()
    {
        foreach (Recipe recipe in Recipes.All)
        {
            using Setup setup = new(recipe.Name);
            setup.Loss();
            float[] first = setup.Evaluate();

            Assert.Equal(first, setup.Evaluate());
        }
    }

    [Fact]
    public void AnEvaluationFollowsTheInferenceRule()
    {
        // The same weights: gaussian dropout and stochastic depth leave the network as it is, the others calculate what they expect.
        Assert.Equal(Evaluate("baseline"), Evaluate("gaussian-dropout"));
        Assert.Equal(Evaluate("residual"), Evaluate("stochastic-depth"));
        Assert.NotEqual(Evaluate("baseline"), Evaluate("adaptive-dropout"));
        Assert.NotEqual(Evaluate("narrow"), Evaluate("drop-connect"));
    }

    [Fact]
    public void DropConnectIsExpectedWhatItIsOnAverage()
    {
        // Means over many passes of training come close to the one pass of evaluation.
        using Setup setup = new("drop-connect");
        float[] expected = setup.Evaluate();
        double[] mean = new double[expected.Length];
        const int Passes = 400;
        for (int pass = 0; pass < Passes; pass++)
        {
            float[] logits = setup.Train(pass);
            for (int i = 0; i < mean.Length; i++) mean[i] += logits[i] / (double)Passes;
        }

        double error = Math.Sqrt(mean.Zip(expected, (left, right) => (left - right) * (left - right)).Average());
        double size = Math.Sqrt(expected.Average(value => (double)value * value));
        Assert.True(error < 0.2 * size, $"error {error}, size {size}");
    }

    private static float[] Evaluate(string name)
    {
        using Setup setup = new(name);
        return setup.Evaluate();
    }

    /// <summary>A network of a recipe with its first weights, and a batch.</summary>
    private sealed class Setup : IDisposable
    {
        private readonly Device _device = Device.Open("cpu");
        private readonly Recipe _recipe;
        private readonly DeviceStream _stream;
        private readonly DeviceExamples _batch;
        private readonly DeviceTensor<float> _losses;
        private readonly Network _network;
        private readonly DeviceTensor<ulong> _keys;
        private readonly DeviceTensor<ulong> _samples;
        private readonly TrainingStep _step;

        public Setup(string name)
        {
            _recipe = Recipes.Find(name);
            _stream = _device.CreateStream();
            _batch = new DeviceExamples(_device, Data.Train);
            _losses = _device.Allocate<float>(Rows);
            _network = new Network(_device, _recipe.Network.Layers(Settings), Settings.Widths[0], Rows);
            _network.Initialize(_stream, StudyRandom.KeyFor(3, RandomPurpose.InitialWeights));
            _keys = _device.Allocate<ulong>(StepKeys.Count, 2);
            _samples = _device.Upload<ulong>([.. Enumerable.Range(0, Rows).Select(i => (ulong)i)], Rows);
            _step = new TrainingStep(_stream, _keys, _samples, Labels);
            SetKeys(step: 0);
        }

        public bool IsWeight(int parameter) => _network.Parameters[parameter].IsWeight;

        public float[] Evaluate() => Download(_network.Forward(_stream, Images));

        public float[] Train(int step)
        {
            SetKeys(step);
            return Download(_network.Forward(_stream, Images, _step));
        }

        public double Loss()
        {
            CrossEntropy.Forward(_stream, _network.Forward(_stream, Images, _step), Labels, null, _losses, null, _recipe.Loss);
            return Download(_losses).Average(loss => (double)loss);
        }

        public double Gradient(out float[][] gradients)
        {
            CrossEntropy.ForwardBackward(
                _stream, _network.Forward(_stream, Images, _step), Labels, null, null, _losses, _network.LogitGradient(Rows), null,
                1.0 / Rows, _recipe.Loss);
            _network.Backward(_step, Rows);
            gradients = [.. _network.Parameters.Select(parameter => Download(parameter.Gradient))];
            return gradients.Sum(gradient => gradient.Sum(value => (double)value * value));
        }

        /// <summary>The parameters, biases set to 1, before and after a step of the recipe's optimizer on gradients of 0.</summary>
        public (float[][] Before, float[][] After) StepWithoutGradients()
        {
            foreach (Parameter parameter in _network.Parameters)
            {
                if (!parameter.IsWeight) _stream.Fill(parameter.Value, 1f);
                _stream.Fill(parameter.Gradient, 0f);
            }

            float[][] before = [.. _network.Parameters.Select(parameter => Download(parameter.Value))];
            using NetworkOptimizer optimizer = NetworkOptimizer.Create(_device, _network, _recipe.Optimizer(Settings));
            _stream.Fill(optimizer.Rates, (float)optimizer.FullRate);
            optimizer.Step(_stream);
            return (before, [.. _network.Parameters.Select(parameter => Download(parameter.Value))]);
        }

        public void Move(float[][] direction, double distance)
        {
            for (int i = 0; i < direction.Length; i++)
            {
                DeviceTensor<float> parameter = _network.Parameters[i].Value;
                float[] values = [.. Download(parameter).Zip(direction[i], (value, d) => value + (float)(distance * d))];
                _stream.Upload<float>(values, parameter);
            }
        }

        public void Dispose()
        {
            _network.Dispose();
            _keys.Dispose();
            _samples.Dispose();
            _losses.Dispose();
            _batch.Dispose();
            _stream.Dispose();
            _device.Dispose();
        }

        private DeviceTensor<float> Images => _batch.Images.Slice(0, Rows);

        private DeviceTensor<int> Labels => _batch.Labels.Slice(0, Rows);

        private void SetKeys(int step)
        {
            ulong[] keys = new ulong[StepKeys.Count * 2];
            StepKeys.Write(seed: 3, epoch: 0, step, keys);
            _stream.Upload<ulong>(keys, _keys);
        }

        private float[] Download(DeviceTensor<float> tensor)
        {
            float[] values = new float[tensor.Length];
            _stream.Download(tensor, values);
            return values;
        }
    }
}
