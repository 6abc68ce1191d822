using Kernels.Devices;

namespace Kernels;

/// <content>
/// The mask for the pass of another op that drops on its way: a bit for each element in the order of memory, and one scale for all.
/// </content>
public static unsafe partial class DropBlock
{
    private static readonly KernelDefinition<DropBlockOrderArguments> OrderKernel =
        EntryPoints.DropBlockOrder.Fixed(CpuOrder, groupSize: Tile);

    /// <summary>Whole 64-bit words, and one more: the CPU's passes of other ops read masks in such.</summary>
    private static long PaddedWords(long bits) => (2 * ((bits + 63) / 64)) + 2;

    /// <summary>What another op's call drops, checked. <see cref="Drops"/> is false where it drops nothing, as the default does.</summary>
    internal readonly record struct Request
    {
        private Maps Maps { get; init; }

        private DropBlockGeometry Geometry { get; init; }

        private DropBlockPlan Plan { get; init; }

        private RandomKeySource Key { get; init; }

        private DropBlockOptions Options { get; init; }

        public bool Drops => Plan.Gamma > 0;

        private long Elements => Maps.Samples * Maps.Channels * Maps.Cells;

        /// <param name="op">The op, for errors.</param>
        /// <param name="stream">Where it runs.</param>
        /// <param name="shape">Shape of the tensor that is dropped from.</param>
        /// <param name="blockSize">Cells of a block.</param>
        /// <param name="rate">How much to drop.</param>
        /// <param name="key">Random key.</param>
        /// <param name="options">Those of <see cref="DropBlock"/>, with one scale for the call.</param>
        public static Request Of(
            string op, DeviceStream stream, ReadOnlySpan<long> shape, ReadOnlySpan<long> blockSize, DropBlockRate rate,
            RandomKeySource key, DropBlockOptions options)
        {
            Check.Key(op, stream, key, nameof(key));
            if (options.Normalization is DropBlockNormalization.Sample or DropBlockNormalization.Map)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(options), options.Normalization,
                    $"{op}: one scale serves the call: {nameof(options.Normalization)} is Batch, Expected or None.");
            }

            Maps maps = Maps.Of(op, shape, nameof(shape), options);
            if (maps.Samples * maps.Channels * maps.Cells == 0) return default;
            DropBlockGeometry geometry = DropBlockGeometry.Create(op, maps.Spatial(shape), blockSize);
            return new Request
            {
                Maps = maps,
                Geometry = geometry,
                Plan = DropBlockGamma.Plan(geometry, rate),
                Key = key,
                Options = options,
            };
        }

        /// <summary>Draws, counts, and puts bits into the order of the elements where they are not in it.</summary>
        public Kept Draw(DeviceStream stream, DType dtype)
        {
            if (!Drops) return default;
            Kept kept = new() { Scale = FixedScale(Options.Normalization, Plan) };
            try
            {
                Units units = Units.Of(Maps, Options.Normalization);
                kept = kept with { Mask = stream.RentScratch<uint>(PaddedWords(Maps.MaskCells)) };
                kept = kept with { Counted = stream.RentScratch<double>(units.Count) };
                DrawMask(
                    stream, Maps, Geometry, Plan, Key, units, kept.Mask.Value.Argument, kept.Counted.Value.Argument, dtype);
                kept = kept with
                {
                    Words = Dropout.MaskWords(Elements),
                    Scales = units.Count > 0 ? kept.Counted.Value.Argument : default,
                };
                if (Options.Layout == TensorLayout.ChannelsFirst && !Options.SharedChannels) return kept;
                kept = kept with { Ordered = stream.RentScratch<uint>(PaddedWords(Elements)) };
                Order(stream, kept.Mask.Value.Argument, kept.Ordered.Value.Argument);
                return kept;
            }
            catch
            {
                kept.Dispose();
                throw;
            }
        }

        private void Order(DeviceStream stream, TensorArgument mask, TensorArgument ordered)
        {
            Lines lines = Lines.Of(Maps, default, Options);
            stream.Launch(
                OrderKernel,
                new KernelVariant(DType.Float32),
                LaunchShape.Items(Dropout.MaskWords(Elements), OrderKernel),
                new DropBlockOrderArguments
                {
                    Mask = mask,
                    Target = ordered,
                    Count = (ulong)Elements,
                    Inner = lines.Inner,
                    Outer = lines.Outer,
                    MaskInner = lines.Mask.Inner,
                    MaskOuter = lines.Mask.Outer,
                    MaskSample = lines.Mask.Sample,
                });
        }
    }

    /// <summary>A mask in scratch memory; nothing by default. Dispose it when the last kernel that reads it is queued.</summary>
    internal readonly record struct Kept : IDisposable
    {
        public ScratchPool.Lease<uint>? Mask { get; init; }

        public ScratchPool.Lease<uint>? Ordered { get; init; }

        public ScratchPool.Lease<double>? Counted { get; init; }

        public TensorArgument Bits => (Ordered ?? Mask)?.Argument ?? default;

        public long Words { get; init; }

        /// <summary>The counted scale, absent where it is <see cref="Scale"/>.</summary>
        public TensorArgument Scales { get; init; }

        public double Scale { get; init; }

        public void Dispose()
        {
            Mask?.Dispose();
            Ordered?.Dispose();
            Counted?.Dispose();
        }
    }
}
