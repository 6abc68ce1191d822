namespace Kernels.Study;

/// <summary>The same numbers as maps of so many channels, rows and columns.</summary>
internal sealed class MapsLayer(long channels, long height, long width) : Layer
{
    private long[] _inputShape = [];

    public override LayerInput Build(LayerInput input)
    {
        _inputShape = [.. input.Shape];
        return input with { Shape = [channels, height, width] };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x) =>
        x.Reshape(x.Shape[0], channels, height, width);

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy) =>
        dy.Reshape([dy.Shape[0], .. _inputShape]);
}

/// <summary>Maps as a row of numbers.</summary>
internal sealed class RowsLayer : Layer
{
    private long[] _inputShape = [];

    public override LayerInput Build(LayerInput input)
    {
        _inputShape = [.. input.Shape];
        return input with { Shape = [input.Features] };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x) =>
        x.Reshape(x.Shape[0], x.Length / x.Shape[0]);

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy) =>
        dy.Reshape([dy.Shape[0], .. _inputShape]);
}

/// <summary>
/// Transposed convolution with filters of 4 x 4 that doubles maps, or makes them one less than that: each output cell is a sum over 2 x 2
/// cells, so that no pattern of the stride shows. For a batch normalization to follow: it has no bias.
/// </summary>
internal sealed class TransposedConvLayer(int outputs, long height, long width) : Layer
{
    private const int Size = 4;
    private const int Stride = 2;

    private Conv2dOptions _options;
    private Parameter _filter = null!;
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _dx = null!;
    private DeviceTensor<float> _x = null!;

    public override LayerInput Build(LayerInput input)
    {
        long channels = input.Shape[0];
        _options = new Conv2dOptions
        {
            Stride = Stride,
            Padding = (1, 1 + (Stride * input.Shape[1]) - height, 1, 1 + (Stride * input.Shape[2]) - width),
        };
        double products = channels * Size * Size / (double)(Stride * Stride);
        _filter = Weights(input.Device, Math.Sqrt(6 / products), channels, outputs, Size, Size);
        _y = Buffer(input, outputs, height, width);
        _dx = Buffer(input, input.Shape);
        return input with { Shape = [outputs, height, width], NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x;
        DeviceTensor<float> y = Rows(_y, x);
        Conv2dTranspose.Forward(stream, x, _filter.Value, bias: null, y, _options);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        if (!step.IsFrozen) Conv2dTranspose.BackwardFilter(step.Stream, _x, dy, _filter.Gradient, dBias: null, _options);
        DeviceTensor<float> dx = Rows(_dx, dy);
        Conv2dTranspose.BackwardData(step.Stream, _filter.Value, dy, dx, _options);
        return dx;
    }
}

/// <summary>
/// One more map, the same in all images of a group: how much they differ on average (Karras et al., 2018). A group is so many images in
/// turn.
/// </summary>
internal sealed class MinibatchDeviationLayer(int groupRows) : Layer
{
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _dx = null!;
    private DeviceTensor<float> _x = null!;

    public override LayerInput Build(LayerInput input)
    {
        long[] shape = [input.Shape[0] + 1, .. input.Shape.Skip(1)];
        _y = Buffer(input, shape);
        _dx = Buffer(input, input.Shape);
        return input with { Shape = shape };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x;
        DeviceTensor<float> y = Rows(_y, x);
        foreach ((long start, long rows) in Groups(x)) MinibatchDeviation.Forward(stream, x.Slice(start, rows), y.Slice(start, rows), rows);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> dx = Rows(_dx, dy);
        foreach ((long start, long rows) in Groups(dy))
        {
            MinibatchDeviation.Backward(
                step.Stream, _x.Slice(start, rows), dy.Slice(start, rows), dx.Slice(start, rows), rows);
        }

        return dx;
    }

    private IEnumerable<(long Start, long Rows)> Groups(DeviceTensor<float> batch)
    {
        for (long start = 0; start < batch.Shape[0]; start += groupRows)
            yield return (start, Math.Min(groupRows, batch.Shape[0] - start));
    }
}
