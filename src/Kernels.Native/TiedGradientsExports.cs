using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>
/// Gradients of parameters that are used several times: gradient = use 1 + use 2 + ... in the order of the list, for all parameters in one
/// launch, rounded once.
/// </summary>
public static unsafe class TiedGradientsExports
{
    /// <summary>The gradients of these parameters, and of their uses; all memory must live as long as the object.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="gradients">For each parameter its gradient, of one data type and any shape.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="uses">The gradients of the uses, those of the first parameter first, each in the shape of its gradient.</param>
    /// <param name="useCounts">For each parameter how many uses it has, at least 1.</param>
    /// <param name="tied">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tied_gradients_create")]
    public static Status Create(
        CDevice device, CTensor* gradients, long count, CTensor* uses, long* useCounts, [Out] CTiedGradients* tied) => Failure.Guard(() =>
    {
        const string Op = "tied_gradients_create";
        Arguments.Result(tied, Op, nameof(tied));
        *tied = default;
        DeviceEntry owner = Arguments.Device(device);
        DType type = Arguments.TypeOfAll(gradients, count, Op, nameof(gradients));
        long[] counts = Arguments.Span(useCounts, count, Op, nameof(useCounts)).ToArray();
        TiedGradientsEntry entry = type switch
        {
            DType.Float32 => Make<float>(),
            DType.Float16 => Make<Half>(),
            DType.BFloat16 => Make<BFloat16>(),
            DType.Float64 => Make<double>(),
            _ => throw Arguments.NoSuchTypes(Op, nameof(gradients), type),
        };
        *tied = new CTiedGradients(Handles.Add(entry));

        TiedGradientsEntry<T> Make<T>()
            where T : unmanaged
        {
            DeviceTensor<T>[][] lists = new DeviceTensor<T>[counts.Length][];
            long first = 0;
            for (int i = 0; i < lists.Length; i++)
            {
                lists[i] = Arguments.Tensors<T>(owner, uses + first, counts[i], Op, nameof(uses));
                first += counts[i];
            }

            return new TiedGradientsEntry<T>(new TiedGradients<T>(
                owner.Device, Arguments.Tensors<T>(owner, gradients, count, Op, nameof(gradients)), lists));
        }
    });

    /// <summary>Queues gradient = the sum of its uses, for all parameters.</summary>
    /// <param name="tied">The gradients.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tied_gradients_sum")]
    public static Status Sum(CTiedGradients tied, CStream stream) =>
        Failure.Guard(() => Get(tied).Sum(Arguments.Stream(stream).Stream));

    /// <summary>Queues gradient = what is there + the sum of its uses, for all parameters.</summary>
    /// <param name="tied">The gradients.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tied_gradients_add")]
    public static Status Add(CTiedGradients tied, CStream stream) =>
        Failure.Guard(() => Get(tied).Add(Arguments.Stream(stream).Stream));

    /// <summary>Frees the object. The tensors stay the caller's.</summary>
    /// <param name="tied">The gradients.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tied_gradients_free")]
    public static Status Free([AllowNull] CTiedGradients tied) =>
        Failure.Guard(() => Handles.Remove<TiedGradientsEntry>(tied.Value, nameof(tied)));

    private static TiedGradientsEntry Get(CTiedGradients tied) => Handles.Get<TiedGradientsEntry>(tied.Value, nameof(tied));
}
