using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The way to the layout that tensor cores want, and back (<c>kernels/cuda/conv2d.layout.cu</c>), through scratch memory.
/// </content>
public static partial class Conv2d
{
    private const int PackingTile = 1 << 12;

    private static readonly KernelDefinition<Conv2dPackArguments> PackKernel =
        EntryPoints.Conv2dPack.Fixed(CpuPack);

    private static readonly KernelDefinition<Conv2dUnpackArguments> UnpackKernel =
        EntryPoints.Conv2dUnpack.Fixed(CpuUnpack);

    /// <summary>The length in whole chunks.</summary>
    private static long InChunks(long length) => Tiles(length, Chunk) * Chunk;

    /// <summary>x or y.</summary>
    private static Packed<T> PackedMaps<T>(
        DeviceStream stream, DeviceTensor<T> maps, in Conv2dShapeArguments shape, bool isX, TensorLayout layout)
        where T : unmanaged
    {
        long pixels = isX ? (long)shape.XHeight * shape.XWidth : (long)shape.YHeight * shape.YWidth;
        uint channels = isX ? shape.XChannels : shape.YChannels, batch = (uint)shape.Batch;
        return new Packed<T>(
            stream, maps, Packing(1, batch, batch, (uint)shape.Groups, channels, pixels, layout, maps.IsVectorAligned));
    }

    /// <summary>A filter: a map for each output, in groups.</summary>
    private static Packed<T> PackedFilter<T>(
        DeviceStream stream, DeviceTensor<T> filter, in Conv2dShapeArguments shape, TensorLayout layout)
        where T : unmanaged =>
        new(stream, filter, Packing(
            (uint)shape.Groups, shape.YChannels, (uint)InChunks(shape.YChannels), 1, shape.XChannels, shape.FilterArea, layout,
            filter.IsVectorAligned));

    /// <summary>A bias: the channels of one pixel. It is read one by one, so that it need not lie on 16 bytes.</summary>
    private static Packed<T>? PackedBias<T>(DeviceStream stream, DeviceTensor<T>? bias, in Conv2dShapeArguments shape)
        where T : unmanaged =>
        bias is null || shape.YChannels % Chunk == 0 ? null : new Packed<T>(
            stream, bias, Packing(1, 1, 1, (uint)shape.Groups, shape.YChannels, 1, TensorLayout.ChannelsLast, isAligned: false));

    private static Conv2dPackingArguments Packing(
        uint mapGroups, uint maps, uint packedMaps, uint groups, uint channels, long pixels, TensorLayout layout, bool isAligned) => new()
        {
            MapGroups = mapGroups,
            Maps = maps,
            PackedMaps = packedMaps,
            Groups = groups,
            Channels = channels,
            PackedChannels = (uint)InChunks(channels),
            Pixels = (uint)pixels,
            ChannelsLast = layout == TensorLayout.ChannelsLast ? 1u : 0u,
            HasPairs = isAligned && (layout == TensorLayout.ChannelsLast ? channels : pixels) % 2 == 0 ? 1u : 0u,
            ChannelBits = TileChannelBits(InChunks(channels), pixels),
        };

    /// <summary>Few channels have tiles of many pixels, a filter of few places those of many channels.</summary>
    private static uint TileChannelBits(long channels, long pixels) =>
        channels == Chunk ? 3u : pixels <= 16 ? 8u : pixels <= 32 ? 7u : 6u;

    /// <summary>The layout is what tensor cores want.</summary>
    private static bool IsPacked(in Conv2dPackingArguments packing, bool isAligned) =>
        isAligned && packing.Channels == packing.PackedChannels && packing.Maps == packing.PackedMaps && packing.ChannelsLast != 0;

    private static void Pack(DeviceStream stream, TensorArgument source, TensorArgument target, in Conv2dPackingArguments packing) =>
        stream.Launch(
            PackKernel, new KernelVariant(DType.Float32), PackingGroups(packing),
            new Conv2dPackArguments { Source = source, Target = target, Conv2dPacking = packing });

    private static void Unpack(DeviceStream stream, TensorArgument source, TensorArgument target, in Conv2dPackingArguments packing) =>
        stream.Launch(
            UnpackKernel, new KernelVariant(DType.Float32), PackingGroups(packing),
            new Conv2dUnpackArguments { Source = source, Target = target, Conv2dPacking = packing });

    private static LaunchShape PackingGroups(in Conv2dPackingArguments packing)
    {
        long channels = 1 << (int)packing.ChannelBits, pixels = PackingTile / channels;
        return new LaunchShape(
            Tiles(packing.PackedChannels, channels) * packing.Groups * Tiles(packing.Pixels, pixels) * packing.MapGroups
            * packing.PackedMaps);
    }

    private static unsafe void CpuPack(in KernelVariant variant, in Conv2dPackArguments arguments)
    {
        Conv2dPackingArguments p = arguments.Conv2dPacking;
        ushort* source = arguments.Source.Pointer<ushort>(), target = arguments.Target.Pointer<ushort>();
        ForEachElement(p, (packed, map, index) => target[packed] = index < 0 ? (ushort)0 : source[index]);
    }

    private static unsafe void CpuUnpack(in KernelVariant variant, in Conv2dUnpackArguments arguments)
    {
        Conv2dPackingArguments p = arguments.Conv2dPacking;
        ushort* source = arguments.Source.Pointer<ushort>(), target = arguments.Target.Pointer<ushort>();
        ForEachElement(p, (packed, map, index) =>
        {
            if (index >= 0) target[index] = source[packed];
        });
    }

    /// <summary>Every element of the packed maps, and where it is in the others, or -1 for a zero.</summary>
    private static void ForEachElement(Conv2dPackingArguments p, Action<long, long, long> body)
    {
        long rows = (long)p.MapGroups * p.PackedMaps;
        CpuParallel.For(rows, row =>
        {
            (long mapGroup, long map) = Math.DivRem(row, p.PackedMaps);
            for (long pixel = 0; pixel < p.Pixels; pixel++)
            {
                for (long group = 0; group < p.Groups; group++)
                {
                    for (long channel = 0; channel < p.PackedChannels; channel++)
                    {
                        long packed = (((((row * p.Pixels) + pixel) * p.Groups) + group) * p.PackedChannels) + channel;
                        long channels = (long)p.Groups * p.Channels, whole = (group * p.Channels) + channel;
                        long start = ((mapGroup * p.Maps) + map) * p.Pixels * channels;
                        long index = start + (p.ChannelsLast != 0 ? (pixel * channels) + whole : (whole * p.Pixels) + pixel);
                        body(packed, row, map < p.Maps && channel < p.Channels ? index : -1);
                    }
                }
            }
        });
    }

    /// <summary>A tensor in the layout that tensor cores want: itself, or scratch memory to pack it into.</summary>
    private readonly struct Packed<T> : IDisposable
        where T : unmanaged
    {
        private readonly Conv2dPackingArguments _packing;
        private readonly TensorArgument _original;
        private readonly ScratchPool.Lease<T>? _scratch;

        public Packed(DeviceStream stream, DeviceTensor<T> tensor, in Conv2dPackingArguments packing)
        {
            _packing = packing;
            _original = tensor.Argument;
            if (!IsPacked(packing, tensor.IsVectorAligned)) _scratch = stream.RentScratch<T>(Length);
        }

        public TensorArgument Argument => _scratch?.Argument ?? _original;

        /// <summary>Elements, with the zeros.</summary>
        public long Length => (long)_packing.MapGroups * _packing.PackedMaps * _packing.Pixels * _packing.Groups * _packing.PackedChannels;

        public void Read(DeviceStream stream)
        {
            if (_scratch is { } scratch) Pack(stream, _original, scratch.Argument, _packing);
        }

        public void Write(DeviceStream stream)
        {
            if (_scratch is { } scratch) Unpack(stream, scratch.Argument, _original, _packing);
        }

        public void Dispose() => _scratch?.Dispose();
    }
}
