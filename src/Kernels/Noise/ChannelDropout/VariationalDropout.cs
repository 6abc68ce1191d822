namespace Kernels;

/// <summary>The axis of time in a sequence tensor.</summary>
public enum SequenceLayout
{
    /// <summary>[time, batch, features].</summary>
    TimeFirst,

    /// <summary>[batch, time, features].</summary>
    BatchFirst,
}

/// <summary>Settings of <see cref="VariationalDropout"/>; the default is [time, batch, features], a whole batch.</summary>
public readonly record struct VariationalDropoutOptions
{
    /// <summary>The axis of time.</summary>
    public SequenceLayout Layout { get; init; }

    /// <summary>
    /// Index of the first decision in the whole batch of which the argument is a shard: its first sequence times features.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>Separate random keys for the three places where a recurrent layer drops, all made from one.</summary>
/// <param name="Input">For the inputs of the layer.</param>
/// <param name="Hidden">For the hidden state that goes from step to step.</param>
/// <param name="Output">For the outputs of the layer.</param>
public readonly record struct VariationalKeys(RandomKey Input, RandomKey Hidden, RandomKey Output)
{
    /// <summary>Independent keys derived from <paramref name="key"/>.</summary>
    public static VariationalKeys From(RandomKey key) => new(key.Derive(0), key.Derive(1), key.Derive(2));
}

/// <summary>
/// Variational dropout for recurrent networks (locked dropout): one mask per sequence, the same at every time step; y = m * x / q in
/// training, identity at inference.
/// </summary>
/// <remarks>
/// <para>
/// The decision of feature f of sequence b has number b * features + f, in both layouts. So <see cref="Dropout.Forward"/> of one time step
/// [batch, features] with the same key has the same mask: use it inside a loop over time, for the hidden state say.
/// </para>
/// <para>
/// Not the variational dropout of Kingma et al. (2015), which learns its noise. Special values, types and errors as in
/// <see cref="ChannelDropout"/>. Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks",
/// NeurIPS 2016.
/// </para>
/// </remarks>
public static class VariationalDropout
{
    /// <summary>Training: y = m * x / q with m the same for all time steps of a sequence.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, three dimensions in the order that <paramref name="options"/> gives.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">Probability p to drop a feature of a sequence, in [0, 1].</param>
    /// <param name="key">Random key; see <see cref="VariationalKeys"/> for one key for each place.</param>
    /// <param name="options">Layout and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        VariationalDropoutOptions options = default)
        where T : unmanaged => Apply("VariationalDropout.Forward", stream, x, y, dropProbability, key, options);

    /// <summary>Gradient: dx = m * dy / q with the decisions of the forward call that had the same arguments.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, double dropProbability, RandomKeySource key,
        VariationalDropoutOptions options = default)
        where T : unmanaged => Apply("VariationalDropout.Backward", stream, dy, dx, dropProbability, key, options);

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        VariationalDropoutOptions options)
        where T : unmanaged
    {
        Devices.Check.Tensor(op, stream, x, nameof(x));
        Devices.Check.Rank(op, x, nameof(x), 3);
        Devices.Check.Defined(op, options.Layout, nameof(options.Layout));
        ChannelDropout.Apply(op, stream, x, y, [options.Layout == SequenceLayout.TimeFirst ? 0 : 1], dropProbability, key,
            options.GlobalStart);
    }
}
