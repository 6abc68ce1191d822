namespace Kernels.Study;

/// <summary>An autoencoder in training, and its use.</summary>
internal sealed class Autoencoder : IDisposable
{
    private readonly DeviceStream _stream;
    private readonly AutoencoderPlan _plan;
    private readonly int _seed;
    private readonly int _count;
    private readonly int _batchSize;
    private readonly int _steps;
    private readonly long[] _shape;
    private readonly Network _encoder;
    private readonly Network _decoder;
    private readonly NetworkOptimizer _encoderOptimizer;
    private readonly NetworkOptimizer _decoderOptimizer;
    private readonly DeviceTensor<float> _images;
    private readonly DeviceTensor<int> _order;
    private readonly DeviceTensor<int> _places;
    private readonly DeviceTensor<float> _batch;
    private readonly DeviceTensor<float> _gradient;
    private readonly DeviceTensor<float> _latents;
    private readonly DeviceTensor<float> _error;
    private readonly DeviceTensor<float> _errors;
    private readonly DeviceTensor<ulong> _none;
    private readonly DeviceTensor<int> _noLabels;
    private DeviceGraph? _step;

    /// <param name="device">Where it trains.</param>
    /// <param name="stream">Where its work is queued.</param>
    /// <param name="train">Images to learn from, in levels.</param>
    /// <param name="plan">The networks and how they are trained.</param>
    /// <param name="height">Rows of an image.</param>
    /// <param name="seed">All that is random follows from it.</param>
    public Autoencoder(Device device, DeviceStream stream, Examples train, AutoencoderPlan plan, int height, int seed)
    {
        (_stream, _plan, _seed, _count) = (stream, plan, seed, train.Count);
        int width = train.Features / height;
        _batchSize = Math.Min(plan.BatchSize, _count);
        _steps = _count / _batchSize;
        _shape = [_batchSize, 1, height, width];
        _encoder = new Network(device, plan.Encoder(), [1, height, width], _batchSize);
        _decoder = new Network(device, plan.Decoder(height, width), [plan.Latents], _batchSize, needsGradient: true);
        _encoder.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.Autoencoder));
        _decoder.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.Autoencoder, 1L << 20));
        AdamWOptions adam = new() { LearningRate = plan.Rate, WeightDecay = 0 };
        _encoderOptimizer = NetworkOptimizer.Create(device, _encoder, adam);
        _decoderOptimizer = NetworkOptimizer.Create(device, _decoder, adam);
        stream.Fill(_encoderOptimizer.Rates, (float)plan.Rate);
        stream.Fill(_decoderOptimizer.Rates, (float)plan.Rate);
        _images = device.Upload<float>(ImageLayers.FromLevels(train.Images), _count, train.Features);
        _order = device.Allocate<int>(_steps * _batchSize);
        _places = device.Allocate<int>(_batchSize);
        _batch = device.Allocate<float>(_batchSize, train.Features);
        _gradient = device.Allocate<float>(_shape);
        _latents = device.Allocate<float>(_batchSize, plan.Latents);
        _error = device.Allocate<float>(1);
        _errors = device.Allocate<float>(_steps);
        _none = device.Allocate<ulong>(0);
        _noLabels = device.Allocate<int>(0);
    }

    /// <summary>
    /// One pass over the training images, counted from 0. Returns the mean squared error of its batches, white being 1 and black -1.
    /// </summary>
    public double TrainEpoch(int epoch)
    {
        RandomKey key = StudyRandom.KeyFor(_seed, RandomPurpose.Autoencoder, (1L << 40) + epoch);
        _stream.Upload<int>(StudyRandom.Permutation(key, _count).AsSpan(0, _steps * _batchSize), _order);
        _step ??= _stream.Capture(Step);
        for (int step = 0; step < _steps; step++)
        {
            _stream.Copy(_order.Slice((long)step * _batchSize, _batchSize), _places);
            _step.Launch(_stream);
            _stream.Copy(_error, _errors.Slice(step, 1));
        }

        return _errors.ToArray(_stream).Average(error => (double)error);
    }

    /// <summary>The latent numbers of images in levels, one row after the other.</summary>
    public float[] Encode(float[] images) => InBlocks(
        ImageLayers.FromLevels(images), _batch,
        input => _encoder.Forward(_stream, input.Reshape([input.Shape[0], .. _shape[1..]])), _plan.Latents);

    /// <summary>The images of latent numbers, in levels.</summary>
    public float[] Decode(float[] latents) =>
        ImageLayers.ToLevels(InBlocks(latents, _latents, input => _decoder.Forward(_stream, input), (int)_images.Shape[1]));

    public void Dispose()
    {
        _step?.Dispose();
        IDisposable[] all =
        [
            _encoderOptimizer, _decoderOptimizer, _encoder, _decoder, _images, _order, _places, _batch, _gradient, _latents, _error,
            _errors, _none, _noLabels,
        ];
        foreach (IDisposable part in all) part.Dispose();
    }

    private void Step()
    {
        TrainingStep step = new(_stream, _none, _none, _noLabels);
        EmbeddingDropout.Infer(_stream, _places, _images, _batch);
        DeviceTensor<float> images = _batch.Reshape(_shape);
        DeviceTensor<float> made = _decoder.Forward(_stream, _encoder.Forward(_stream, images, step), step);
        MeanSquaredError.ForwardBackward(_stream, made, images, lossGradient: null, _error, _gradient, gradientScale: 1);
        _encoder.Backward(step, _decoder.Backward(step, _gradient)!);
        _decoderOptimizer.Step(_stream);
        _encoderOptimizer.Step(_stream);
    }

    /// <summary>Rows through a network, as many at once as it takes.</summary>
    private float[] InBlocks(
        float[] values, DeviceTensor<float> input, Func<DeviceTensor<float>, DeviceTensor<float>> forward, int outputs)
    {
        int width = (int)input.Shape[1], count = values.Length / width;
        float[] results = new float[count * outputs];
        for (int start = 0; start < count; start += _batchSize)
        {
            int rows = Math.Min(_batchSize, count - start);
            DeviceTensor<float> block = input.Slice(0, rows);
            _stream.Upload<float>(values.AsSpan(start * width, rows * width), block);
            _stream.Download(forward(block), results.AsSpan(start * outputs, rows * outputs));
        }

        return results;
    }
}
