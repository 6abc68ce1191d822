using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>Copies of a list of parameters: saved at the best evaluation, restored after stopping, bit for bit.</summary>
public static unsafe class SnapshotExports
{
    /// <summary>Allocates room for a copy of parameters, whose memory must live as long as the snapshot.</summary>
    /// <param name="device">Device of the parameters.</param>
    /// <param name="parameters">Tensors of one data type and any shapes.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="place">Where the copy lies.</param>
    /// <param name="snapshot">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_snapshot_create")]
    public static Status Create(CDevice device, CTensor* parameters, long count, SnapshotPlace place, [Out] CSnapshot* snapshot) =>
        Failure.Guard(() =>
        {
            const string Op = "snapshot_create";
            Arguments.Result(snapshot, Op, nameof(snapshot));
            *snapshot = default;
            DeviceEntry owner = Arguments.Device(device);
            DType type = Arguments.TypeOfAll(parameters, count, Op, nameof(parameters));
            SnapshotEntry entry = type switch
            {
                DType.Float32 => Make<float>(),
                DType.Float16 => Make<Half>(),
                DType.BFloat16 => Make<BFloat16>(),
                DType.Float64 => Make<double>(),
                DType.Int32 => Make<int>(),
                DType.UInt32 => Make<uint>(),
                _ => throw Arguments.NoSuchTypes(Op, nameof(parameters), type),
            };
            *snapshot = new CSnapshot(Handles.Add(entry));

            SnapshotEntry<T> Make<T>()
                where T : unmanaged =>
                new(new ParameterSnapshot<T>(owner.Device, Arguments.Tensors<T>(owner, parameters, count, Op, nameof(parameters)), place));
        });

    /// <summary>Queues copying the parameters into the snapshot.</summary>
    /// <param name="snapshot">The snapshot.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_snapshot_save")]
    public static Status Save(CSnapshot snapshot, CStream stream) =>
        Failure.Guard(() => Get(snapshot).Save(Arguments.Stream(stream).Stream));

    /// <summary>Queues copying the snapshot back into the parameters.</summary>
    /// <param name="snapshot">A snapshot that was saved.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_snapshot_restore")]
    public static Status Restore(CSnapshot snapshot, CStream stream) =>
        Failure.Guard(() => Get(snapshot).Restore(Arguments.Stream(stream).Stream));

    /// <summary>The saved values of one parameter, in its shape.</summary>
    /// <param name="snapshot">The snapshot.</param>
    /// <param name="parameter">Which parameter.</param>
    /// <param name="saved">Gets a view, valid as long as the snapshot.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_snapshot_saved")]
    public static Status Saved(CSnapshot snapshot, int parameter, [Out] CTensor* saved) => Failure.Guard(() =>
    {
        Arguments.Result(saved, "snapshot_saved", nameof(saved));
        Get(snapshot).ShowSaved(parameter, saved);
    });

    /// <summary>Frees a snapshot once no queued work uses it.</summary>
    /// <param name="snapshot">The snapshot.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_snapshot_free")]
    public static Status Free([AllowNull] CSnapshot snapshot) =>
        Failure.Guard(() => Handles.Remove<SnapshotEntry>(snapshot.Value, nameof(snapshot)));

    private static SnapshotEntry Get(CSnapshot snapshot) => Handles.Get<SnapshotEntry>(snapshot.Value, nameof(snapshot));
}
