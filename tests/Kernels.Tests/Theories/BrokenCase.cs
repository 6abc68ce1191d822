using System.Runtime.InteropServices;
using Kernels.Verification;

namespace Kernels.Tests.Theories;

/// <summary>What a broken op does wrong.</summary>
public enum Defect
{
    /// <summary>The first element of a result is wrong: in its lowest bit where bits must agree.</summary>
    WrongFirst,

    /// <summary>One element in the middle is far off.</summary>
    FarOff,

    /// <summary>The last element is wrong: in its lowest bit where bits must agree.</summary>
    WrongLast,

    /// <summary>The last element is not written.</summary>
    SkipsLast,

    /// <summary>Nothing is launched.</summary>
    DoesNothing,

    /// <summary>The element after the end is written.</summary>
    WritesPastEnd,

    /// <summary>The element before the start is written.</summary>
    WritesBeforeStart,

    /// <summary>An input is written.</summary>
    WritesInput,

    /// <summary>The results differ from run to run.</summary>
    DoesNotRepeat,
}

/// <summary>An op that does its work and then one thing wrong: the negative control of the checks.</summary>
internal sealed class BrokenCase(OpCase inner, Defect defect) : OpCase
{
    private readonly Dictionary<(Problem, DType), TensorSpec?> _targets = [];
    private byte _runs;

    public Defect Defect => defect;

    public override string Op => inner.Op;

    public override IReadOnlyList<DType> DTypes => inner.DTypes;

    public override IReadOnlyList<Problem> Problems => inner.Problems;

    public override IReadOnlyList<Problem> BenchProblems => inner.BenchProblems;

    public override double GradientScale => inner.GradientScale;

    public override Problem? ForwardOf(Problem problem) => inner.ForwardOf(problem);

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed) => inner.Tensors(problem, dtype, seed);

    public override void Reference(Problem problem, ReferenceValues values) => inner.Reference(problem, values);

    /// <summary>Which problems go wrong; by default all.</summary>
    public Func<Problem, bool> Harms { get; init; } = _ => true;

    /// <summary>The tensor that is harmed, or null where the problem has none.</summary>
    public TensorSpec? Target(Problem problem, DType dtype)
    {
        if (_targets.TryGetValue((problem, dtype), out TensorSpec? target)) return target;
        target = Tensors(problem, dtype, Verifier.DefaultSeed)
            .LastOrDefault(spec => (spec.Role == TensorRole.Input) == (defect == Defect.WritesInput) && spec.Length > 0);
        return _targets[(problem, dtype)] = target;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (!Harms(problem))
        {
            inner.Run<T>(stream, problem, tensors);
            return;
        }

        TensorSpec target = Target(problem, global::Kernels.DTypes.Of<T>())
            ?? throw new InvalidOperationException($"{problem}: nothing to harm");
        switch (target.DType)
        {
            case DType.UInt32: Run<T, uint>(stream, problem, tensors, target); break;
            case DType.UInt64: Run<T, ulong>(stream, problem, tensors, target); break;
            case DType.UInt8: Run<T, byte>(stream, problem, tensors, target); break;
            case DType.Int32: Run<T, int>(stream, problem, tensors, target); break;
            case DType.Float32: Run<T, float>(stream, problem, tensors, target); break;
            default: Run<T, T>(stream, problem, tensors, target); break;
        }
    }

    private void Run<T, TTarget>(DeviceStream stream, Problem problem, DeviceTensors tensors, TensorSpec target)
        where T : unmanaged
        where TTarget : unmanaged
    {
        DeviceTensor<TTarget> tensor = tensors.Get<TTarget>(target.Name);
        TTarget[] before = tensor.ToArray(stream);
        if (defect != Defect.DoesNothing) inner.Run<T>(stream, problem, tensors);
        TTarget[] after = tensor.ToArray(stream);
        int middle = after.Length / 2;
        switch (defect)
        {
            case Defect.WrongFirst: after[0] = Wrong(after[0], target); break;
            case Defect.FarOff: after[middle] = Off(after[middle], target); break;
            case Defect.WrongLast: after[^1] = Wrong(after[^1], target); break;
            case Defect.SkipsLast: after[^1] = before[^1]; break;
            case Defect.WritesInput: after[middle] = Wrong(after[middle], target); break;
            case Defect.DoesNotRepeat: Bytes(ref after[middle])[0] ^= ++_runs; break;
            case Defect.WritesPastEnd: stream.Fill(tensor.Buffer.View(tensor.Offset + tensor.Length, 1), default); break;
            case Defect.WritesBeforeStart: stream.Fill(tensor.Buffer.View(tensor.Offset - 1, 1), default); break;
        }

        stream.Upload(after, tensor);
    }

    private static T Wrong<T>(T value, TensorSpec target)
        where T : unmanaged
    {
        if (target.Tolerance != Tolerance.Exact) return Off(value, target);
        Bytes(ref value)[0] ^= 1;
        return value;
    }

    /// <summary>A value beyond any tolerance, which is a fraction of the value and of the size of its terms.</summary>
    private static T Off<T>(T value, TensorSpec target)
        where T : unmanaged
    {
        double right = Elements.FromBytes(target.DType, Bytes(ref value))[0];
        double wrong = double.IsNaN(right) ? 0 : right + Math.CopySign(Math.Abs(right) + target.Tolerance.Floor + 1, right);
        Elements.ToBytes(target.DType, [wrong]).CopyTo(Bytes(ref value));
        return value;
    }

    private static Span<byte> Bytes<T>(ref T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new Span<T>(ref value));
}
