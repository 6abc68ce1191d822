namespace Kernels.Reference;

/// <summary>Convolution and its gradients; channels are counted in each group.</summary>
public sealed record Conv2dReference
{
    /// <summary>Examples.</summary>
    public required int Batch { get; init; }

    /// <summary>Groups of channels; those of the output see those of the input of the same number alone.</summary>
    public required int Groups { get; init; }

    /// <summary>Input channels of a group.</summary>
    public required int Inputs { get; init; }

    /// <summary>Rows of the input.</summary>
    public required int Height { get; init; }

    /// <summary>Columns of the input.</summary>
    public required int Width { get; init; }

    /// <summary>Output channels of a group.</summary>
    public required int Outputs { get; init; }

    /// <summary>Rows of the filter.</summary>
    public required int FilterHeight { get; init; }

    /// <summary>Columns of the filter.</summary>
    public required int FilterWidth { get; init; }

    /// <summary>The step from one place of the filter to the next.</summary>
    public required (int Y, int X) Stride { get; init; }

    /// <summary>The distance between neighbouring taps.</summary>
    public required (int Y, int X) Dilation { get; init; }

    /// <summary>Zeros around the input.</summary>
    public required (int Top, int Bottom, int Left, int Right) Padding { get; init; }

    /// <summary>True for [batch, height, width, channels] and [outputs, height, width, inputs].</summary>
    public required bool ChannelsLast { get; init; }

    /// <summary>Rows of the output.</summary>
    public int OutputHeight => ((Height + Padding.Top + Padding.Bottom - ((FilterHeight - 1) * Dilation.Y) - 1) / Stride.Y) + 1;

    /// <summary>Columns of the output.</summary>
    public int OutputWidth => ((Width + Padding.Left + Padding.Right - ((FilterWidth - 1) * Dilation.X) - 1) / Stride.X) + 1;

    /// <summary>y[n, k, p, q] = b[k] + sum over taps of w x, where x is 0 in the padding. An empty bias is none.</summary>
    public void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> filter, ReadOnlySpan<double> bias, Span<double> y, bool rectifies)
    {
        (int, int, int)[] taps = Taps(Inputs);
        foreach ((int n, int g, int k, int p, int q) in Elements(Outputs, OutputHeight, OutputWidth))
        {
            double sum = bias.IsEmpty ? 0 : bias[(g * Outputs) + k];
            foreach ((int c, int r, int s) in taps) sum += Padded(x, n, g, c, p, q, r, s) * filter[FilterIndex(g, k, c, r, s)];
            y[YIndex(n, g, k, p, q)] = rectifies && sum <= 0 ? 0 : sum;
        }
    }

    /// <summary>
    /// dx: sums over the taps that saw x. The gradient of the output is 0 outside, where a place of the filter beyond the last would see x.
    /// </summary>
    public void BackwardData(ReadOnlySpan<double> filter, ReadOnlySpan<double> dy, Span<double> dx)
    {
        (int, int, int)[] taps = Taps(Outputs);
        (int height, int width) = (OutputHeight, OutputWidth);
        foreach ((int n, int g, int c, int h, int w) in Elements(Inputs, Height, Width))
        {
            double sum = 0;
            foreach ((int k, int r, int s) in taps)
            {
                int down = h + Padding.Top - (r * Dilation.Y), right = w + Padding.Left - (s * Dilation.X);
                if (down % Stride.Y != 0 || right % Stride.X != 0) continue;
                (int p, int q) = (down / Stride.Y, right / Stride.X);
                bool inside = p >= 0 && p < height && q >= 0 && q < width;
                int at = inside ? MapIndex(n, (g * Outputs) + k, p, q, Groups * Outputs, height, width) : 0;
                sum += (inside ? dy[at] : 0) * filter[FilterIndex(g, k, c, r, s)];
            }

            dx[XIndex(n, g, c, h, w)] = sum;
        }
    }

    /// <summary>Gradients of filter and bias: sums over all places. An empty gradient of the bias is not wanted.</summary>
    public void BackwardFilter(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, Span<double> dFilter, Span<double> dBias)
    {
        dFilter.Clear();
        dBias.Clear();
        (int, int, int)[] taps = Taps(Inputs);
        foreach ((int n, int g, int k, int p, int q) in Elements(Outputs, OutputHeight, OutputWidth))
        {
            double gradient = dy[YIndex(n, g, k, p, q)];
            foreach ((int c, int r, int s) in taps)
                dFilter[FilterIndex(g, k, c, r, s)] += gradient * Padded(x, n, g, c, p, q, r, s);
            if (!dBias.IsEmpty) dBias[(g * Outputs) + k] += gradient;
        }
    }

    /// <summary>Adds a number for each channel to the maps of the input's side, as a transposed convolution does.</summary>
    public void AddToX(ReadOnlySpan<double> bias, Span<double> x)
    {
        foreach ((int n, int g, int c, int h, int w) in Elements(Inputs, Height, Width))
            x[XIndex(n, g, c, h, w)] += bias[(g * Inputs) + c];
    }

    /// <summary>The sum of each channel of maps of the input's side.</summary>
    public void SumsOfX(ReadOnlySpan<double> x, Span<double> sums)
    {
        sums.Clear();
        foreach ((int n, int g, int c, int h, int w) in Elements(Inputs, Height, Width))
            sums[(g * Inputs) + c] += x[XIndex(n, g, c, h, w)];
    }

    /// <summary>Example, group, channel of the group, row and column of every element of maps.</summary>
    private IEnumerable<(int N, int Group, int Channel, int Row, int Column)> Elements(int channels, int height, int width)
    {
        for (int n = 0; n < Batch; n++)
        {
            for (int group = 0; group < Groups; group++)
            {
                for (int channel = 0; channel < channels; channel++)
                {
                    for (int row = 0; row < height; row++)
                    {
                        for (int column = 0; column < width; column++) yield return (n, group, channel, row, column);
                    }
                }
            }
        }
    }

    /// <summary>Channel, row and column of every tap.</summary>
    private (int Channel, int Row, int Column)[] Taps(int channels) =>
    [
        .. from channel in Enumerable.Range(0, channels)
           from row in Enumerable.Range(0, FilterHeight)
           from column in Enumerable.Range(0, FilterWidth)
           select (channel, row, column),
    ];

    /// <summary>What tap (r, s) sees at place (p, q): 0 in the padding.</summary>
    private double Padded(ReadOnlySpan<double> x, int n, int g, int c, int p, int q, int r, int s)
    {
        int h = (p * Stride.Y) - Padding.Top + (r * Dilation.Y), w = (q * Stride.X) - Padding.Left + (s * Dilation.X);
        return h >= 0 && h < Height && w >= 0 && w < Width ? x[XIndex(n, g, c, h, w)] : 0;
    }

    private int XIndex(int n, int g, int c, int h, int w) => MapIndex(n, (g * Inputs) + c, h, w, Groups * Inputs, Height, Width);

    private int YIndex(int n, int g, int k, int p, int q) =>
        MapIndex(n, (g * Outputs) + k, p, q, Groups * Outputs, OutputHeight, OutputWidth);

    private int MapIndex(int n, int channel, int h, int w, int channels, int height, int width) => ChannelsLast
        ? (((((n * height) + h) * width) + w) * channels) + channel
        : (((((n * channels) + channel) * height) + h) * width) + w;

    private int FilterIndex(int g, int k, int c, int r, int s)
    {
        int output = (g * Outputs) + k;
        return ChannelsLast
            ? (((((output * FilterHeight) + r) * FilterWidth) + s) * Inputs) + c
            : (((((output * Inputs) + c) * FilterHeight) + r) * FilterWidth) + s;
    }
}
