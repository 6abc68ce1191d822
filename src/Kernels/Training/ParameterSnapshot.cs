using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The place of a <see cref="ParameterSnapshot{T}"/>'s copy.</summary>
public enum SnapshotPlace
{
    /// <summary>In the device's memory: fastest, and as large as the parameters once more.</summary>
    Device,

    /// <summary>In page-locked host memory, which kernels reach over the bus: costs no device memory.</summary>
    Host,
}

/// <summary>A copy of a list of parameters: save it at the best evaluation, restore it after stopping. Bit for bit, NaN included.</summary>
/// <typeparam name="T">Element type of the parameters: float, Half, BFloat16, double, int or uint.</typeparam>
/// <remarks>
/// <see cref="Save"/> and <see cref="Restore"/> queue one launch for all parameters, whatever their number and sizes, and return at once.
/// On OpenCL a launch reaches one buffer, so
/// separately allocated parameters are one launch each. Restoring what was saved at the best evaluation is what makes early stopping a
/// regularizer: I. Goodfellow, Y. Bengio and A. Courville, "Deep Learning", section 7.8, 2016.
/// </remarks>
public sealed class ParameterSnapshot<T> : IDisposable
    where T : unmanaged
{
    private const string Op = "ParameterSnapshot";

    private readonly IReadOnlyList<DeviceTensor<T>> _parameters;
    private readonly TensorTable<T> _table;
    private readonly DeviceBuffer<T> _copy;

    /// <summary>Allocates room for a copy of <paramref name="parameters"/>, which <paramref name="device"/> holds.</summary>
    /// <param name="device">The parameters' device.</param>
    /// <param name="parameters">Tensors of any shapes; views are copied without their surroundings.</param>
    /// <param name="place">Where the copy lies.</param>
    /// <exception cref="ArgumentException">A parameter is on another device, parameters overlap, or their type is none of those
    /// above.</exception>
    /// <exception cref="OutOfDeviceMemoryException">There is too little free memory.</exception>
    public ParameterSnapshot(Device device, IReadOnlyList<DeviceTensor<T>> parameters, SnapshotPlace place = SnapshotPlace.Device)
    {
        Check.NotNull(Op, device, nameof(device));
        Check.NotNull(Op, parameters, nameof(parameters));
        if (!Enum.IsDefined(place)) throw new ArgumentOutOfRangeException(nameof(place), place, $"{Op}: no such place.");
        if (Unsafe.SizeOf<T>() is not (2 or 4) && typeof(T) != typeof(double))
        {
            throw new ArgumentException(
                $"{Op}: parameters are floats, halves, doubles or 32-bit integers, not {DTypes.Of<T>().ShortName()}.", nameof(parameters));
        }

        _parameters = [.. parameters];
        _table = new TensorTable<T>(Op, device, _parameters, "parameters", null, "", []);
        try
        {
            long bytes = _table.FlatLength * Unsafe.SizeOf<T>();
            _copy = new DeviceBuffer<T>(
                place == SnapshotPlace.Host ? device.AllocateMappedHostMemory(bytes) : device.AllocateMemory(bytes), _table.FlatLength);
        }
        catch
        {
            _table.Dispose();
            throw;
        }
    }

    /// <summary>True once <see cref="Save"/> was called.</summary>
    public bool HasSaved { get; private set; }

    /// <summary>The stored type that has the size of <typeparamref name="T"/>: bits are moved, not numbers.</summary>
    private static DType Stored => Unsafe.SizeOf<T>() switch { 2 => DType.Float16, 4 => DType.Float32, _ => DType.Float64 };

    /// <summary>Queues copying the parameters into the snapshot.</summary>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="ObjectDisposedException">The snapshot, a parameter or the stream was disposed.</exception>
    public void Save(DeviceStream stream)
    {
        Launch(stream, ParameterSnapshotKernels.Save);
        HasSaved = true;
    }

    /// <summary>Queues copying the snapshot back into the parameters.</summary>
    /// <exception cref="InvalidOperationException">Nothing was saved.</exception>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="ObjectDisposedException">The snapshot, a parameter or the stream was disposed.</exception>
    public void Restore(DeviceStream stream)
    {
        if (!HasSaved) throw new InvalidOperationException($"{Op}.Restore: nothing was saved.");
        Launch(stream, ParameterSnapshotKernels.Restore);
        foreach (DeviceTensor<T> parameter in _parameters) stream.Wrote(parameter);
    }

    /// <summary>
    /// The saved values of one parameter, in its shape: to write a checkpoint, say. A view, valid as long as the snapshot.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such parameter.</exception>
    public DeviceTensor<T> GetSaved(int parameter)
    {
        if (parameter < 0 || parameter >= _parameters.Count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(parameter), parameter, $"{Op}.GetSaved: there are {_parameters.Count} parameters.");
        }

        return _copy.View(_table.FlatOffset(parameter), _parameters[parameter].Shape);
    }

    /// <summary>Frees the copy once no queued work uses it.</summary>
    public void Dispose()
    {
        _table.Dispose();
        _copy.Dispose();
    }

    private void Launch(DeviceStream stream, KernelDefinition<ParameterSnapshotArguments> kernel)
    {
        _table.CheckStream(Op, stream);
        using TensorTable<T>.Lease held = _table.Hold(Op, stream);
        foreach (TensorTable<T>.Run run in _table.Runs)
        {
            stream.Launch(
                kernel, new KernelVariant(Stored), LaunchShape.GroupPerRow(run.TileCount),
                new ParameterSnapshotArguments
                {
                    Parameter = run.First,
                    Copy = new TensorArgument(_copy.Memory, 0),
                    TensorList = _table.ListOf(run),
                });
        }
    }
}

/// <summary>The kernels of <see cref="ParameterSnapshot{T}"/>.</summary>
internal static unsafe class ParameterSnapshotKernels
{
    public static readonly KernelDefinition<ParameterSnapshotArguments> Save = EntryPoints.ParameterSnapshotSave.Float<CpuSave>();

    public static readonly KernelDefinition<ParameterSnapshotArguments> Restore = EntryPoints.ParameterSnapshotRestore.Float<CpuRestore>();

    private readonly struct CpuSave : ICpuKernel<ParameterSnapshotArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ParameterSnapshotArguments arguments)
            where T : unmanaged => CopyTiles<T>(arguments, saves: true);
    }

    private readonly struct CpuRestore : ICpuKernel<ParameterSnapshotArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ParameterSnapshotArguments arguments)
            where T : unmanaged => CopyTiles<T>(arguments, saves: false);
    }

    private static void CopyTiles<T>(ParameterSnapshotArguments a, bool saves)
        where T : unmanaged
    {
        long total = (long)a.TensorList.TileCount * TensorTable<T>.TileLength * sizeof(T);
        CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
        {
            for (long place = first; place < end; place++)
            {
                CpuTile tile = CpuTile.At(a.TensorList, place);
                byte* parameter = (byte*)(a.Parameter.Pointer<T>() + tile.First), copy = (byte*)(a.Copy.Pointer<T>() + tile.Flat);
                CpuStreaming.Copy(saves ? parameter : copy, saves ? copy : parameter, tile.Count * sizeof(T), total);
            }
        });
    }
}
