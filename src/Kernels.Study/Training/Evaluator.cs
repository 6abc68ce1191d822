namespace Kernels.Study;

/// <summary>
/// Measures a network as it would be used: by the inference rules of its methods, which for most of them is to do nothing.
/// </summary>
internal sealed class Evaluator : IDisposable
{
    // A block's activations stay in the cache of a CPU, and its launches fill a GPU.
    public const int BlockRows = 500;

    private readonly DeviceStream _stream;
    private readonly DeviceTensor<float> _losses;
    private readonly float[] _hostLogits;
    private readonly float[] _hostLosses = new float[BlockRows];
    private readonly int _classes;

    public Evaluator(Device device, DeviceStream stream, int classes)
    {
        _stream = stream;
        _classes = classes;
        _losses = device.Allocate<float>(BlockRows);
        _hostLogits = new float[BlockRows * classes];
    }

    public Score Measure(Network network, DeviceExamples examples)
    {
        int right = 0;
        double loss = 0;
        for (int start = 0; start < examples.Count; start += BlockRows) AddBlock(network, examples, start, ref right, ref loss);
        return new Score((double)right / examples.Count, loss / examples.Count);
    }

    /// <summary>Adds the right answers and the losses of the block of examples that begins there.</summary>
    public void AddBlock(Network network, DeviceExamples examples, int start, ref int right, ref double loss)
    {
        int rows = Math.Min(BlockRows, examples.Count - start);
        DeviceTensor<float> logits = network.Forward(_stream, examples.Images.Slice(start, rows));
        DeviceTensor<float> losses = _losses.Slice(0, rows);
        CrossEntropy.Forward(_stream, logits, examples.Labels.Slice(start, rows), classWeights: null, losses, normalizer: null);
        _stream.Download(logits, _hostLogits.AsSpan(0, rows * _classes));
        _stream.Download(losses, _hostLosses.AsSpan(0, rows));
        for (int row = 0; row < rows; row++)
        {
            loss += _hostLosses[row];
            if (ArgMax(_hostLogits.AsSpan(row * _classes, _classes)) == examples.HostLabels[start + row]) right++;
        }
    }

    /// <summary>The class that the network takes each image for.</summary>
    public int[] Answers(Network network, DeviceExamples examples)
    {
        int[] answers = new int[examples.Count];
        for (int start = 0; start < examples.Count; start += BlockRows)
        {
            int rows = Math.Min(BlockRows, examples.Count - start);
            _stream.Download(network.Forward(_stream, examples.Images.Slice(start, rows)), _hostLogits.AsSpan(0, rows * _classes));
            for (int row = 0; row < rows; row++) answers[start + row] = ArgMax(_hostLogits.AsSpan(row * _classes, _classes));
        }

        return answers;
    }

    public void Dispose() => _losses.Dispose();

    private static int ArgMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
            if (values[i] > values[best]) best = i;
        return best;
    }
}
