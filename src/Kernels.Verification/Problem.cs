namespace Kernels.Verification;

/// <summary>One way to call an op: which entry, which shape, which settings, and why this shape is worth a test.</summary>
/// <param name="Entry">The call: <c>forward</c>, <c>backward</c>, <c>step</c>.</param>
/// <param name="Reason">Why the shape is in the list: tail, prime, one element, zero, many groups.</param>
public abstract record Problem(string Entry, string Reason)
{
    /// <summary>Shape and settings for tables, without the entry: <c>4096x1000 p=0.1</c>.</summary>
    public abstract string Text { get; }

    /// <summary>Least bytes to read and write when elements are stored in <paramref name="elementBytes"/>.</summary>
    public abstract long Bytes(int elementBytes);

    /// <summary>Multiplications and additions where they, not memory, set the time; else 0.</summary>
    public virtual long Flops => 0;

    /// <summary>
    /// True when an input goes to the ends of its range and all between. Another extreme input would overflow in products with it, rightly.
    /// </summary>
    public bool HasExtremes { get; init; }

    public sealed override string ToString() => $"{Entry} {Text} ({Reason})";
}

/// <summary>True when a tensor is read, written or both.</summary>
public enum TensorRole
{
    Input,
    Output,
    InOut,
}

/// <summary>How a tensor reaches an op.</summary>
public enum ArgumentUse
{
    /// <summary>It is an argument.</summary>
    Required,

    /// <summary>It is an argument that may be null, at least in some calls.</summary>
    Optional,

    /// <summary>It is none: the case fills it from what the op gives out, as an optimizer gives out its state.</summary>
    None,
}

/// <summary>
/// A tensor of a problem: its name in formula and reference, its values before the call (empty for outputs), how exact it must be after.
/// </summary>
public sealed record TensorSpec(string Name, DType DType, long[] Shape, TensorRole Role, double[] Values)
{
    public long Length => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    /// <summary>The largest distance of an output from the reference.</summary>
    public Tolerance Tolerance { get; init; } = Tolerance.Exact;
}

/// <summary>The reference's side of a problem: all values as double, by name. It reads inputs and fills outputs.</summary>
public sealed class ReferenceValues(IReadOnlyList<TensorSpec> specs)
{
    private readonly Dictionary<string, double[]> _values = specs.ToDictionary(
        spec => spec.Name, spec => spec.Role == TensorRole.Output ? new double[spec.Length] : (double[])spec.Values.Clone());

    public double[] this[string name] => _values[name];

    public int[] Integers(string name) => [.. _values[name].Select(value => (int)value)];

    public bool Has(string name) => _values.ContainsKey(name);

    /// <summary>The stored type of a tensor.</summary>
    public DType DType(string name) => specs.Single(spec => spec.Name == name).DType;
}

/// <summary>The device's side of a problem: tensors by name.</summary>
public abstract class DeviceTensors
{
    /// <summary>What they are, without the values of floating-point ones; empty where nobody knows.</summary>
    public virtual IReadOnlyList<TensorSpec> Specs => [];

    /// <summary>The tensor of this name.</summary>
    public abstract DeviceTensor<T> Get<T>(string name)
        where T : unmanaged;

    /// <summary>What the op gets for a key: the key itself, unless a test has it in device memory.</summary>
    public virtual RandomKeySource Key(RandomKey key) => key;
}

/// <summary>A call that must be refused: which exception, before anything is launched.</summary>
public sealed record BadInput(string Name, Type Exception, Action<Device, DeviceStream> Call)
{
    /// <summary>The argument that the exception names, where another check of the call has the same exception.</summary>
    public string? Argument { get; init; }

    /// <summary>A part of the message, where another check of the call names the same argument.</summary>
    public string? Says { get; init; }
}

/// <summary>A call that can be repeated, and what was made for it.</summary>
public sealed class PreparedCall(Action call, IReadOnlyList<IDisposable> owned) : IDisposable
{
    public void Invoke() => call();

    public void Dispose()
    {
        foreach (IDisposable resource in owned) resource.Dispose();
    }
}
