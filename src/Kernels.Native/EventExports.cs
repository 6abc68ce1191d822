using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>Events.</summary>
public static unsafe class EventExports
{
    /// <summary>Waits until the work before an event is done.</summary>
    /// <param name="deviceEvent">The event.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_event_wait")]
    public static Status Wait(CEvent deviceEvent) => Failure.Guard(() => Get(deviceEvent).Wait());

    /// <summary>Whether the work before an event is done. Waits for nothing.</summary>
    /// <param name="deviceEvent">The event.</param>
    /// <param name="completed">Gets the answer.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_event_is_completed")]
    public static Status IsCompleted(CEvent deviceEvent, [Out] bool* completed) => Failure.Guard(() =>
    {
        Arguments.Result(completed, "event_is_completed", nameof(completed));
        *completed = Get(deviceEvent).IsCompleted;
    });

    /// <summary>Time of the device between two events of one device. Waits for both.</summary>
    /// <param name="earlier">The event that was recorded first.</param>
    /// <param name="later">The other.</param>
    /// <param name="seconds">Gets the time.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_event_elapsed")]
    public static Status Elapsed(CEvent earlier, CEvent later, [Out] double* seconds) => Failure.Guard(() =>
    {
        Arguments.Result(seconds, "event_elapsed", nameof(seconds));
        *seconds = Get(later).ElapsedSince(Get(earlier)).TotalSeconds;
    });

    /// <summary>Frees an event; work is not affected.</summary>
    /// <param name="deviceEvent">The event.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_event_free")]
    public static Status Free([AllowNull] CEvent deviceEvent) =>
        Failure.Guard(() => Handles.Remove<DeviceEvent>(deviceEvent.Value, nameof(deviceEvent)));

    private static DeviceEvent Get(CEvent deviceEvent) => Handles.Get<DeviceEvent>(deviceEvent.Value, "event");
}
