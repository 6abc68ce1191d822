using Kernels.Devices;

namespace Kernels;

/// <summary>The preconditions of batch normalization in all its forms, and what follows from arguments that keep to them.</summary>
internal static class NormChecks
{
    /// <summary>Input and output: float tensors of one shape, the same memory or disjoint.</summary>
    public static void Pair<T>(
        string op, DeviceStream stream, DeviceTensor<T> source, string sourceName, DeviceTensor<T> destination, string destinationName)
        where T : unmanaged => Check.Elementwise(op, stream, source, sourceName, destination, destinationName);

    public static NormGeometry Geometry<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string name, in BatchNormOptions options)
        where T : unmanaged
    {
        options.Validate(op);
        NormGeometry geometry = NormGeometry.Of(op, x.Shape, name, options.Layout);
        if (options.Lengths is not { } lengths) return geometry;
        Check.Tensor(op, stream, lengths, nameof(options.Lengths));
        Check.Shape(op, lengths, nameof(options.Lengths), x.Shape[0]);
        return geometry with { Lengths = lengths.Argument };
    }

    /// <summary>Lengths share no memory with what is written: elements, and results of channels.</summary>
    public static void ApartFromLengths<T, TReal>(
        string op, in BatchNormOptions options, DeviceTensor<T>? written, string name,
        params ReadOnlySpan<(DeviceTensor<TReal>? Tensor, string Name)> results)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (options.Lengths is not { } lengths) return;
        if (written is not null) Check.Disjoint(op, lengths, nameof(options.Lengths), written, name);
        AllDisjoint(op, lengths, nameof(options.Lengths), [], results);
    }

    /// <summary>The tensors of training; the residual may be absent, and so may ghost batches.</summary>
    public static NormGeometry Forward<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T>? residual, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta, DeviceTensor<T> y, DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean,
        DeviceTensor<TReal>? runningVariance, in BatchNormOptions options, long? ghostSize = null)
        where T : unmanaged
        where TReal : unmanaged
    {
        Pair(op, stream, x, nameof(x), y, nameof(y));
        Check.Disjoint(op, x, nameof(x), y, nameof(y));
        if (residual is not null) Pair(op, stream, residual, nameof(residual), y, nameof(y));
        NormGeometry geometry = Geometry(op, stream, x, nameof(x), options);
        if (ghostSize is not null) geometry = geometry.InGhosts(op, x.Shape, ghostSize.Value);
        Training(op, x, nameof(x), geometry);
        Inputs(op, stream, geometry, y, nameof(y), gamma, beta);
        Results(
            op, stream, geometry, x, nameof(x), y, nameof(y), gamma, beta, statistics, runningMean, runningVariance,
            StatisticsShape(geometry, ghostSize));
        ApartFromLengths(op, options, y, nameof(y), Written(statistics, runningMean, runningVariance));
        if (residual is null) return geometry;
        AllDisjoint<T, TReal>(op, residual, nameof(residual), [], Written(statistics, runningMean, runningVariance));
        return geometry;
    }

    /// <summary>The tensors of inference; the residual may be absent.</summary>
    public static NormGeometry Infer<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T>? residual, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta, DeviceTensor<TReal> runningMean, DeviceTensor<TReal> runningVariance, DeviceTensor<T> y,
        in BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        Pair(op, stream, x, nameof(x), y, nameof(y));
        if (residual is not null) Pair(op, stream, residual, nameof(residual), y, nameof(y));
        NormGeometry geometry = Geometry(op, stream, x, nameof(x), options);
        Inputs(op, stream, geometry, y, nameof(y), gamma, beta);
        Channel(op, stream, runningMean, nameof(runningMean), y, nameof(y), geometry.Channels);
        Channel(op, stream, runningVariance, nameof(runningVariance), y, nameof(y), geometry.Channels);
        ApartFromLengths<T, TReal>(op, options, y, nameof(y));
        return geometry;
    }

    /// <summary>More than one value a channel, or none at all.</summary>
    private static void Training<T>(string op, DeviceTensor<T> x, string name, in NormGeometry geometry)
        where T : unmanaged
    {
        if (geometry is { Count: 1, Channels: > 0 })
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(x.Shape)}, one value a channel, which has no deviation.", name);
        }
    }

    /// <summary>Gamma and beta.</summary>
    public static void Inputs<T, TReal>(
        string op, DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> y, string yName, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (gamma is not null) Channel(op, stream, gamma, nameof(gamma), y, yName, geometry.Channels);
        if (beta is not null) Channel(op, stream, beta, nameof(beta), y, yName, geometry.Channels);
    }

    /// <summary>A tensor of channels that is read while a tensor of all elements is written, or the other way round.</summary>
    public static void Channel<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<TReal> tensor, string name, DeviceTensor<T> other, string otherName,
        params ReadOnlySpan<long> shape)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, tensor, name);
        Check.Shape(op, tensor, name, shape);
        Check.Disjoint(op, other, otherName, tensor, name);
    }

    /// <summary>What training writes besides y, of which x and other inputs are no part.</summary>
    public static void Results<T, TReal>(
        string op, DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, string xName, DeviceTensor<T> y, string yName,
        DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean,
        DeviceTensor<TReal>? runningVariance, params ReadOnlySpan<long> statisticsShape)
        where T : unmanaged
        where TReal : unmanaged
    {
        Channel(op, stream, statistics, nameof(statistics), y, yName, statisticsShape);
        if (runningMean is null != runningVariance is null)
        {
            string missing = runningMean is null ? nameof(runningMean) : nameof(runningVariance);
            throw new ArgumentNullException(
                missing, $"{op}: {missing} is null, {(runningMean is null ? nameof(runningVariance) : nameof(runningMean))} is not.");
        }

        if (runningMean is not null) Channel(op, stream, runningMean, nameof(runningMean), y, yName, geometry.Channels);
        if (runningVariance is not null) Channel(op, stream, runningVariance, nameof(runningVariance), y, yName, geometry.Channels);
        AllDisjoint(
            op, x, xName, [(gamma, nameof(gamma)), (beta, nameof(beta))], Written(statistics, runningMean, runningVariance));
    }

    /// <summary>The tensors of backward, but for those of a ReLU and a residual.</summary>
    public static NormGeometry Backward<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta,
        DeviceTensor<TReal> statistics, DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta,
        in BatchNormOptions options, long? ghostSize = null)
        where T : unmanaged
        where TReal : unmanaged
    {
        Pair(op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.FloatTensor(op, stream, x, nameof(x));
        Check.Shape(op, x, nameof(x), dy.Shape);
        Check.Disjoint(op, x, nameof(x), dx, nameof(dx));
        NormGeometry geometry = Geometry(op, stream, x, nameof(x), options);
        if (ghostSize is not null) geometry = geometry.InGhosts(op, x.Shape, ghostSize.Value);
        Training(op, x, nameof(x), geometry);
        Inputs(op, stream, geometry, dx, nameof(dx), gamma, beta);
        Channel(op, stream, statistics, nameof(statistics), dx, nameof(dx), StatisticsShape(geometry, ghostSize));
        if (dGamma is not null) Channel(op, stream, dGamma, nameof(dGamma), dx, nameof(dx), geometry.Channels);
        if (dBeta is not null) Channel(op, stream, dBeta, nameof(dBeta), dx, nameof(dx), geometry.Channels);
        (DeviceTensor<TReal>?, string)[] results = [(dGamma, nameof(dGamma)), (dBeta, nameof(dBeta))];
        (DeviceTensor<TReal>?, string)[] inputs =
            [(gamma, nameof(gamma)), (beta, nameof(beta)), (statistics, nameof(statistics))];
        AllDisjoint(op, x, nameof(x), inputs, results);
        AllDisjoint(op, dy, nameof(dy), [], results);
        ApartFromLengths(op, options, dx, nameof(dx), results);
        return geometry;
    }

    /// <summary>Nothing of channels that is written or read shares memory with elements.</summary>
    public static void ApartFromChannels<T, TReal>(
        string op, DeviceTensor<T> elements, string elementsName, DeviceTensor<TReal>? channels, string channelsName)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (channels is not null) Check.Disjoint(op, elements, elementsName, channels, channelsName);
    }

    /// <summary>Nothing follows, so there is nothing to drop blocks of.</summary>
    public static NormEpilogue NoEpilogue(string op, in BatchNormOptions options) => options.DropBlock is null
        ? NormEpilogue.None
        : throw new ArgumentException(
            $"{op}: {nameof(options.DropBlock)} is for {nameof(BatchNormRelu)} and {nameof(BatchNormAddRelu)}.", nameof(options));

    /// <summary>A ReLU, dropout and DropBlock.</summary>
    public static NormEpilogue Epilogue<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, double dropProbability, RandomKeySource key, in BatchNormOptions options)
        where T : unmanaged
    {
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, x.Length, options.GlobalStart);
        return new NormEpilogue(true, KeepThreshold.FromDropProbability(dropProbability), options.GlobalStart, key)
        {
            Blocks = Blocks(op, stream, x.Shape, options),
        };
    }

    private static DropBlock.Request Blocks(string op, DeviceStream stream, ReadOnlySpan<long> shape, in BatchNormOptions options)
    {
        if (options.DropBlock is not { } block) return default;
        if (block.BlockSize is null)
        {
            throw new ArgumentNullException(
                nameof(block.BlockSize), $"{op}: {nameof(options.DropBlock)}.{nameof(block.BlockSize)} is null.");
        }

        ulong sample = (ulong)TensorShape.Count(shape[1..]);
        if (sample > 0 && options.GlobalStart % sample != 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options.GlobalStart), options.GlobalStart,
                $"{op}: with {nameof(options.DropBlock)} a shard begins with a sample of {sample} elements.");
        }

        return DropBlock.Request.Of(op, stream, shape, [.. block.BlockSize], block.Rate, block.Key, new DropBlockOptions
        {
            Layout = options.Layout,
            SharedChannels = block.SharedChannels,
            Normalization = block.Normalization,
            GlobalStart = sample == 0 ? 0 : options.GlobalStart / sample,
        });
    }

    /// <summary>True where there is nothing to normalize; statistics are then 0.</summary>
    public static bool IsEmpty<TReal>(DeviceStream stream, in NormGeometry geometry, params ReadOnlySpan<DeviceTensor<TReal>?> results)
        where TReal : unmanaged
    {
        if (geometry.Units * geometry.Count > 0) return false;
        foreach (DeviceTensor<TReal>? result in results)
        {
            if (result is not null) stream.Fill(result, default);
        }

        return true;
    }

    public static NormRunning Running<TReal>(
        DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance, in BatchNormOptions options)
        where TReal : unmanaged =>
        new(runningMean?.Argument ?? default, runningVariance?.Argument ?? default, options.NewShare,
            options.RunningVariance == VarianceEstimate.Unbiased);

    public static NormChannelArguments RunningChannels<TReal>(
        DeviceTensor<TReal> runningMean, DeviceTensor<TReal> runningVariance, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta)
        where TReal : unmanaged =>
        new()
        {
            Mean = runningMean.Argument,
            Rest = default,
            Spread = runningVariance.Argument,
            Gamma = gamma?.Argument ?? default,
            Beta = beta?.Argument ?? default,
        };

    private static long[] StatisticsShape(in NormGeometry geometry, long? ghostSize) => ghostSize is null
        ? [BatchNorm.StatisticRows, geometry.Channels] : [BatchNorm.StatisticRows, geometry.Sets, geometry.Channels];

    private static (DeviceTensor<TReal>? Tensor, string Name)[] Written<TReal>(
        DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance)
        where TReal : unmanaged =>
        [(statistics, nameof(statistics)), (runningMean, nameof(runningMean)), (runningVariance, nameof(runningVariance))];

    /// <summary>No result shares memory with an input or with another result.</summary>
    public static void AllDisjoint<T, TReal>(
        string op, DeviceTensor<T> input, string inputName, ReadOnlySpan<(DeviceTensor<TReal>? Tensor, string Name)> inputs,
        ReadOnlySpan<(DeviceTensor<TReal>? Tensor, string Name)> results)
        where T : unmanaged
        where TReal : unmanaged
    {
        for (int i = 0; i < results.Length; i++)
        {
            if (results[i].Tensor is not { } result) continue;
            Check.Disjoint(op, input, inputName, result, results[i].Name);
            foreach ((DeviceTensor<TReal>? tensor, string name) in inputs)
            {
                if (tensor is not null) Check.Disjoint(op, tensor, name, result, results[i].Name);
            }

            foreach ((DeviceTensor<TReal>? tensor, string name) in results[..i])
            {
                if (tensor is not null) Check.Disjoint(op, tensor, name, result, results[i].Name);
            }
        }
    }
}
