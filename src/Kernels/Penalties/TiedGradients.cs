using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Gradients of parameters that are used several times, in layers that share their weights: the sum of the gradients of all uses, for a
/// whole list of parameters in one launch.
/// </summary>
/// <typeparam name="T">Stored type of the gradients: float, Half, BFloat16 or double.</typeparam>
/// <remarks>
/// <para>
/// gradient = use 1 + use 2 + ... in float (double for double), rounded once when it is stored: the same bits every run, and more of them
/// than by adding one use after the other to a half type. Every four uses are added as a binary tree, (1 + 2) + (3 + 4), and join what
/// there is one after the other: up to eight are one binary tree over the list. Each layer writes the gradient of its own use, and none
/// waits for another.
/// </para>
/// <para>
/// NaN and infinities add up as IEEE 754 has it. Empty tensors are valid. Tensors stay the caller's and must outlive the object; a use may
/// stand in the list several times. On OpenCL a launch reaches one buffer of gradients, and uses that lie in several buffers are copied
/// side by side first.
/// </para>
/// <para>
/// D. Rumelhart, G. Hinton and R. Williams, "Learning internal representations by error propagation", 1986; O. Press and L. Wolf, "Using
/// the output embedding to improve language models", EACL 2017.
/// </para>
/// </remarks>
public sealed class TiedGradients<T> : IDisposable
    where T : unmanaged
{
    private const string Op = "TiedGradients";

    /// <summary>Copies of uses start on this many elements, so that they are read in wide accesses.</summary>
    private const long CopyAlignment = 16;

    private readonly TensorTable<T> _table;
    private readonly DeviceTensor<ulong> _places;
    private readonly DeviceTensor<T>[] _uses;
    private readonly DeviceMemory[] _memory;
    private readonly long[] _copies; // where a use is copied to; empty where none is
    private readonly long _copyLength;

    /// <summary>The gradients of these parameters, and of their uses.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="gradients">For each parameter its gradient, of any shape.</param>
    /// <param name="uses">For each parameter the gradients of its uses, at least one, in the shape of its gradient.</param>
    /// <exception cref="ArgumentException">
    /// The lists or shapes differ, a parameter has no use, a gradient overlaps another or a use, or a tensor is on another device.
    /// </exception>
    public TiedGradients(
        Device device, IReadOnlyList<DeviceTensor<T>> gradients, IReadOnlyList<IReadOnlyList<DeviceTensor<T>>> uses)
    {
        Check.NotNull(Op, device, nameof(device));
        Check.NotNull(Op, gradients, nameof(gradients));
        Check.NotNull(Op, uses, nameof(uses));
        RealBuffer<T>.CheckStored(Op, device);
        if (uses.Count != gradients.Count)
            throw new ArgumentException($"{Op}: there are {gradients.Count} gradients and {uses.Count} lists of uses.", nameof(uses));
        CheckUses(device, gradients, uses);
        _uses = [.. uses.SelectMany(list => list)];
        _memory = [.. _uses.Select(use => use.Buffer.Memory).Distinct()];
        bool together = _memory.Select(memory => memory.AddressSpace).Distinct().Count() <= 1;
        _copies = together ? [] : new long[_uses.Length];
        for (int i = 0; i < _copies.Length; i++)
        {
            _copies[i] = _copyLength;
            _copyLength += (_uses[i].Length + CopyAlignment - 1) / CopyAlignment * CopyAlignment;
        }

        uint[] aligned = [.. uses.Select(list => !together || list.All(use => use.IsVectorAligned) ? 1u : 0)];
        _table = new TensorTable<T>(Op, device, gradients, nameof(gradients), null, "", aligned);
        try
        {
            ulong[] places = Places(uses);
            _places = device.Upload<ulong>(places, places.Length);
        }
        catch
        {
            _table.Dispose();
            throw;
        }
    }

    /// <summary>Queues gradient = the sum of its uses, for all parameters.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="ObjectDisposedException">The object, a tensor or the stream was disposed.</exception>
    public void Sum(DeviceStream stream) => Run(stream, adds: false);

    /// <summary>Queues gradient = what is there + the sum of its uses, for all parameters.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="ObjectDisposedException">The object, a tensor or the stream was disposed.</exception>
    public void Add(DeviceStream stream) => Run(stream, adds: true);

    /// <summary>Frees the tables. The tensors stay the caller's.</summary>
    public void Dispose()
    {
        _table.Dispose();
        _places.Dispose();
    }

    private static void CheckUses(
        Device device, IReadOnlyList<DeviceTensor<T>> gradients, IReadOnlyList<IReadOnlyList<DeviceTensor<T>>> uses)
    {
        for (int i = 0; i < uses.Count; i++)
        {
            if (uses[i] is null or { Count: 0 }) throw new ArgumentException($"{Op}: uses[{i}] is empty.", nameof(uses));
            for (int k = 0; k < uses[i].Count; k++)
            {
                string name = $"uses[{i}][{k}]";
                DeviceTensor<T> use = uses[i][k];
                if (use is null) throw new ArgumentNullException(name, $"{Op}: {name} is null.");
                if (use.Buffer.Memory.IsDisposed) throw new ObjectDisposedException(name, $"{Op}: {name} was disposed.");
                if (use.Device != device) throw new ArgumentException($"{Op}: {name} is on {use.Device}, expected {device}.", name);
                if (gradients[i] is null) continue; // the table says so
                if (!use.Shape.SequenceEqual(gradients[i].Shape))
                {
                    throw new ArgumentException(
                        $"{Op}: {name} has the shape {TensorShape.Format(use.Shape)}, "
                        + $"its gradient {TensorShape.Format(gradients[i].Shape)}.",
                        name);
                }

                if (gradients.FirstOrDefault(gradient => gradient is not null && gradient.Overlaps(use)) is { } overlapping)
                    throw new ArgumentException($"{Op}: {name} and the gradient {overlapping} overlap in memory.", name);
            }
        }
    }

    /// <summary>Where the uses of each parameter begin, one end more, and then the uses, counted from the first one's memory.</summary>
    private ulong[] Places(IReadOnlyList<IReadOnlyList<DeviceTensor<T>>> uses)
    {
        ulong[] places = new ulong[uses.Count + 1 + _uses.Length];
        ulong next = (ulong)uses.Count + 1;
        for (int i = 0; i < uses.Count; i++)
        {
            places[i] = next;
            next += (ulong)uses[i].Count;
        }

        places[uses.Count] = next;
        for (int i = 0; i < _uses.Length; i++)
        {
            places[uses.Count + 1 + i] = _copies.Length > 0 ? (ulong)_copies[i] : TensorTable<T>.Distance(_uses[0], _uses[i]);
        }

        return places;
    }

    private void Run(DeviceStream stream, bool adds)
    {
        _table.CheckStream(Op, stream);
        using TensorTable<T>.Lease held = _table.Hold(Op, stream), heldUses = new(Op, _memory);
        foreach (DeviceMemory memory in _memory) stream.KeepForGraph(memory);
        if (_table.TileCount == 0) return;
        using ScratchPool.Lease<T> copy = stream.RentScratch<T>(_copyLength);
        for (int i = 0; i < _copies.Length; i++) stream.Copy(_uses[i], copy.Buffer.View(_copies[i], _uses[i].Shape));
        foreach (TensorTable<T>.Run run in _table.Runs)
        {
            stream.Launch(
                TiedGradientsKernels.Sum, new KernelVariant(DTypes.Of<T>()), LaunchShape.GroupPerRow(run.TileCount),
                new TiedGradientsSumArguments
                {
                    Gradient = run.First,
                    Uses = _copies.Length > 0 ? copy.Argument : new TensorArgument(_uses[0].Buffer.Memory, 0),
                    TensorList = _table.ListOf(run),
                    Places = _places.Argument,
                    Adds = adds ? 1u : 0,
                });
        }
    }
}
