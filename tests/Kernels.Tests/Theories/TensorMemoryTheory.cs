using System.Runtime.InteropServices;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// Each tensor that an op writes shares memory with each other tensor of the call; each tensor has a dimension too many; each result has
/// an entry too many in its first dimension. The call is refused before any launch, with the op's name. Decided on the host, so the CPU is
/// enough.
/// </summary>
public sealed class TensorMemoryTheory
{
    /// <summary>Tensors of any shape or number of rows: the call takes it from them, or several calls fill them.</summary>
    private static readonly HashSet<(string Op, string Tensor)> OfAnyShape =
    [
        ("augment", "table"), ("embedding-dropout", "dtable"), ("feature-noise", "deviations"), ("gan-loss", "generated"),
        ("gan-loss", "real"), ("kept-rows", "rows"), ("kept-rows", "y"), ("kept-rows", "dx"), ("kept-rows", "df"),
        ("monte-carlo-dropout", "y"), ("random", "words"),
    ];

    /// <summary>Ops on lists, whose cases cut the tensors of the lists out of one.</summary>
    private static readonly HashSet<string> OfLists =
        ["adam", "adamw", "lion", "norm-penalty", "parameter-snapshot", "rmsprop", "sgd", "tied-gradients"];

    [Theory]
    [MemberData(nameof(CaseRows.OpNames), MemberType = typeof(CaseRows))]
    public void SharedMemoryAndWrongShapes_AreRefused(string op)
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        List<string> failures = [];
        int tried = 0;
        foreach (Trial trial in Calls(CaseRows.Op(op)))
        {
            using GuardedTensors tensors = new(stream, trial.Specs);
            TensorSpec[] arguments = [.. trial.Specs.Where(spec => trial.Op.UseOf(trial.Problem, spec.Name) != ArgumentUse.None)];
            foreach (TensorSpec written in arguments.Where(spec => spec.Role != TensorRole.Input))
            {
                foreach (TensorSpec other in arguments.Where(spec => spec.Name != written.Name))
                {
                    using SharedMemory shared = new(tensors, device, other, written);
                    if (shared.IsInPlace) continue;
                    Try($"{written.Name} over {other.Name}", shared, "overlap");
                }
            }

            foreach (TensorSpec spec in arguments.Where(spec => !OfLists.Contains(op) && !OfAnyShape.Contains((op, spec.Name))))
            {
                Try($"{spec.Name} of one dimension more", new Reshaped(tensors, device, spec.Name, [1, .. spec.Shape]), "");
                if (spec.Role == TensorRole.Input) continue;
                Try($"{spec.Name} of an entry more", new Reshaped(tensors, device, spec.Name, [spec.Shape[0] + 1, .. spec.Shape[1..]]), "");
            }

            void Try(string what, DeviceTensors wrong, string word)
            {
                long launches = device.Counters.Launches;
                Exception? thrown = Record.Exception(() => trial.Op.Run(stream, trial.Problem, trial.DType, wrong));
                string? failure = thrown is null ? "was taken"
                    : thrown.GetType() != typeof(ArgumentException) ? $"{thrown.GetType().Name}: {thrown.Message}"
                    : !thrown.Message.Contains(trial.Op.ApiName, StringComparison.OrdinalIgnoreCase) ? $"names no op: {thrown.Message}"
                    : !thrown.Message.Contains(word, StringComparison.Ordinal) ? $"another reason: {thrown.Message}"
                    : device.Counters.Launches != launches ? $"launched, then {thrown.Message}" : null;
                if (failure is not null) failures.Add($"{trial.Problem}: {what}: {failure}");
                tried++;
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} of {tried} failed\n{string.Join('\n', failures)}");
    }

    /// <summary>A call of each kind, of one element only where there is no other: two tensors of an element share all or nothing.</summary>
    private static IEnumerable<Trial> Calls(OpCase op) =>
        op.Problems.Where(CaseRun.IsSmall).Select(problem => new Trial(op, problem, op.DTypes[0]))
            .Where(trial => trial.Specs.All(spec => spec.Length > 0))
            .GroupBy(trial => $"{trial.Problem.Entry} {string.Join(' ', trial.Specs.Select(spec => spec.Name))}")
            .Select(alike => alike.MaxBy(trial => Math.Min(2, trial.Specs.Max(spec => spec.Length)))!);

    /// <summary>The second tensor begins within the last elements of the first.</summary>
    private sealed unsafe class SharedMemory : DeviceTensors, IDisposable
    {
        private readonly DeviceTensors _inner;
        private readonly Device _device;
        private readonly string _first;
        private readonly string _second;
        private readonly long _offset;
        private readonly nint _memory;

        public SharedMemory(DeviceTensors inner, Device device, TensorSpec first, TensorSpec second)
        {
            (_inner, _device, _first, _second) = (inner, device, first.Name, second.Name);
            long unit = Math.Max(first.DType.SizeInBytes(), second.DType.SizeInBytes());
            _offset = ((first.Length * first.DType.SizeInBytes()) - 1) / unit * unit;
            IsInPlace = _offset == 0 && first.Length == second.Length && first.Role == TensorRole.Input;
            long bytes = _offset + (second.Length * second.DType.SizeInBytes()) + unit;
            _memory = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        }

        /// <summary>They are the same memory, which may be meant.</summary>
        public bool IsInPlace { get; }

        public override DeviceTensor<T> Get<T>(string name)
        {
            DeviceTensor<T> tensor = _inner.Get<T>(name);
            return name == _first ? _device.WrapTensor<T>(_memory, 0, tensor.Shape)
                : name == _second ? _device.WrapTensor<T>(_memory, _offset, tensor.Shape)
                : tensor;
        }

        public void Dispose() => NativeMemory.AlignedFree((void*)_memory);
    }

    private sealed class Reshaped(DeviceTensors inner, Device device, string reshaped, long[] shape) : DeviceTensors
    {
        public override DeviceTensor<T> Get<T>(string name) => name == reshaped ? device.Allocate<T>(shape) : inner.Get<T>(name);
    }
}
