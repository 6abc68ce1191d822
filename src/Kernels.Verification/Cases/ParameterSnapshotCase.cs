namespace Kernels.Verification;

/// <summary>Snapshots of lists of tensors: what is saved, and what comes back after the parameters were overwritten, bit for bit.</summary>
public sealed class ParameterSnapshotCase : OpCase
{
    private static readonly long[] Ragged = [1, 7, 4096, 0, 165, 4097];

    public override string Op => "parameter-snapshot";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. new[] { SnapshotPlace.Device, SnapshotPlace.Host }.SelectMany(place => new[] { "save", "restore" }.SelectMany(entry => new[]
        {
            new SnapshotProblem(entry, [], place, "an empty list"),
            new SnapshotProblem(entry, [0], place, "a tensor without elements"),
            new SnapshotProblem(entry, [1], place, "one element"),
            new SnapshotProblem(entry, Ragged, place, "lengths of all kinds, end to end"),
            new SnapshotProblem(entry, [8200, 16, 4096], place, "whole vectors and several tiles"),
            new SnapshotProblem(entry, [.. Enumerable.Repeat(1L, 700)], place, "many tensors"),
        })),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new SnapshotProblem("save", [1 << 22, 1 << 22, 1 << 22, 1 << 22], SnapshotPlace.Device, "4 tensors of 4.2 M"),
        new SnapshotProblem("save", [.. Enumerable.Repeat(4096L, 2000)], SnapshotPlace.Device, "2,000 tensors of 4,096"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("unknown place", typeof(ArgumentOutOfRangeException), (device, stream) =>
            new ParameterSnapshot<float>(device, [], (SnapshotPlace)4).Dispose()),
        new("no parameters", typeof(ArgumentNullException), (device, stream) => new ParameterSnapshot<float>(device, null!).Dispose())
        {
            Argument = "parameters",
        },
        new("no device", typeof(ArgumentNullException), (device, stream) => new ParameterSnapshot<float>(null!, []).Dispose())
        {
            Argument = "device",
        },
        new("saved by no stream", typeof(ArgumentNullException), (device, stream) =>
        {
            using ParameterSnapshot<float> snapshot = new(device, []);
            snapshot.Save(null!);
        })
        {
            Argument = "stream",
        },
        new("restored by no stream", typeof(ArgumentNullException), (device, stream) =>
        {
            using ParameterSnapshot<float> snapshot = new(device, []);
            snapshot.Save(stream);
            snapshot.Restore(null!);
        })
        {
            Argument = "stream",
        },
        new("bytes", typeof(ArgumentException), (device, stream) => new ParameterSnapshot<byte>(device, []).Dispose()),
        new("parameters that overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4);
            new ParameterSnapshot<float>(device, [parameter.Slice(0, 3), parameter.Slice(2, 2)]).Dispose();
        }),
        new("restored before it was saved", typeof(InvalidOperationException), (device, stream) =>
        {
            using ParameterSnapshot<float> snapshot = new(device, []);
            snapshot.Restore(stream);
        }),
        new("a parameter that was disposed", typeof(ObjectDisposedException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4);
            using ParameterSnapshot<float> snapshot = new(device, [parameter]);
            parameter.Dispose();
            snapshot.Save(stream);
        }),
        new("no such parameter", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using ParameterSnapshot<float> snapshot = new(device, []);
            snapshot.GetSaved(0);
        }),
        new("a parameter before the first", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using ParameterSnapshot<float> snapshot = new(device, []);
            snapshot.GetSaved(-1);
        }),
    ];

    /// <summary>Where the copy is checked, and where it is restored to after being overwritten here.</summary>
    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        problem.Entry == "save" && tensor == "parameters" ? ArgumentUse.Required : ArgumentUse.None;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        SnapshotProblem p = (SnapshotProblem)problem;
        return [Input("parameters", dtype, [p.Length], seed),
            Output(p.Entry == "save" ? "saved" : "restored", dtype, [p.Length], Tolerance.Exact)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        SnapshotProblem p = (SnapshotProblem)problem;
        DeviceTensor<T> parameters = tensors.Get<T>("parameters");
        if (p.Entry == "restore")
        {
            // The tensor that is saved, overwritten and restored.
            DeviceTensor<T> restored = tensors.Get<T>("restored");
            using ParameterSnapshot<T> snapshot = new(stream.Device, TensorLists.EndToEnd(restored, p.Lengths), p.Place);
            stream.Copy(parameters, restored);
            snapshot.Save(stream);
            stream.Fill(restored, default);
            snapshot.Restore(stream);
            return;
        }

        using ParameterSnapshot<T> copy = new(stream.Device, TensorLists.EndToEnd(parameters, p.Lengths), p.Place);
        copy.Save(stream);
        IReadOnlyList<DeviceTensor<T>> saved = TensorLists.EndToEnd(tensors.Get<T>("saved"), p.Lengths);
        for (int i = 0; i < saved.Count; i++) stream.Copy(copy.GetSaved(i), saved[i]);
    }

    public override PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        SnapshotProblem p = (SnapshotProblem)problem;
        ParameterSnapshot<T> snapshot = new(stream.Device, TensorLists.EndToEnd(tensors.Get<T>("parameters"), p.Lengths), p.Place);
        return new PreparedCall(() => snapshot.Save(stream), [snapshot]);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        values["parameters"].CopyTo(values[values.Has("saved") ? "saved" : "restored"], 0);
    }
}

/// <summary>Saving tensors of these lengths, or saving, overwriting and restoring them.</summary>
public sealed record SnapshotProblem(string Entry, IReadOnlyList<long> Lengths, SnapshotPlace Place, string Reason) : Problem(Entry, Reason)
{
    public long Length => Lengths.Sum();

    public override string Text =>
        $"{(Lengths.Distinct().Count() == 1 ? $"{Lengths.Count}x{Lengths[0]}" : $"{Lengths.Count} tensors, {Length}")} "
        + $"{Place.ToString().ToLowerInvariant()}";

    /// <summary>Read once, written once.</summary>
    public override long Bytes(int elementBytes) => 2 * Length * elementBytes;
}
