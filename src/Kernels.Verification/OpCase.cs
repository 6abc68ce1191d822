namespace Kernels.Verification;

/// <summary>
/// The one descriptor of an op. `kernels verify`, every theory of the tests and every bench read it; a new class here is all the
/// registration an op needs.
/// </summary>
public abstract class OpCase
{
    /// <summary>Every case of this assembly, by op name.</summary>
    public static IReadOnlyList<OpCase> All { get; } =
    [
        .. typeof(OpCase).Assembly.GetTypes()
            .Where(type => type.IsSubclassOf(typeof(OpCase)) && !type.IsAbstract)
            .Select(type => (OpCase)Activator.CreateInstance(type)!)
            .OrderBy(op => op.Op, StringComparer.Ordinal),
    ];

    /// <summary>The op's name in tables and on the command line: <c>dropout</c>.</summary>
    public abstract string Op { get; }

    /// <summary>Stored types the op takes.</summary>
    public virtual IReadOnlyList<DType> DTypes { get; } = [DType.Float32, DType.Float16, DType.BFloat16, DType.Float64];

    /// <summary>The problems that are verified on every device; small enough for a scalar reference.</summary>
    public abstract IReadOnlyList<Problem> Problems { get; }

    /// <summary>The problems that are timed.</summary>
    public abstract IReadOnlyList<Problem> BenchProblems { get; }

    /// <summary>Those that a kind of device does not do as another of them.</summary>
    public virtual IEnumerable<Problem> BenchProblemsOn(DeviceKind kind) => BenchProblems;

    /// <summary>Calls that must be refused.</summary>
    public virtual IReadOnlyList<BadInput> BadInputs => [];

    /// <summary>True when an entry takes a random key.</summary>
    public virtual bool TakesKey => false;

    /// <summary>Pairs (source, destination) of tensor names that may be the same memory in a problem.</summary>
    public virtual IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => [];

    /// <summary>
    /// For an elementwise op: the problem at a length, so that every length around the vector widths is tried; else null.
    /// </summary>
    public virtual Problem? OfLength(long length) => null;

    /// <summary>
    /// For an entry that computes a gradient: the forward problem it belongs to. The backward problem then takes <c>dy</c> for each float
    /// output
    /// <c>y</c> of the forward one, and gives <c>dx</c> for inputs <c>x</c>. Null when there is no gradient to check.
    /// </summary>
    public virtual Problem? ForwardOf(Problem problem) => null;

    /// <summary>The factor of the op's gradients where the forward outputs have no gradient tensors, as a loss has none.</summary>
    public virtual double GradientScale => 1;

    /// <summary>The tensors of a problem with their values, a function of the seed alone.</summary>
    public abstract IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed);

    /// <summary>Calls the op. <typeparamref name="T"/> stores what the problem's dtype says.</summary>
    public abstract void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
        where T : unmanaged;

    /// <summary>
    /// The call that a bench times: by default <see cref="Run{T}"/>. An op that is an object, made once and called many times, makes it
    /// here.
    /// </summary>
    public virtual PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
        where T : unmanaged => new(() => Run<T>(stream, problem, tensors), []);

    /// <summary>
    /// The largest finite value that an input may have: smaller than the type's where the op squares its inputs in the arithmetic type,
    /// which then overflows rightly.
    /// </summary>
    public virtual double LargestInput(DType dtype) => Elements.Largest(dtype);

    /// <summary>
    /// True when an input is a setting, or state of calls before that fits the other inputs, so that not every number makes sense in its
    /// place.
    /// </summary>
    public virtual bool IsStateOrSetting(string input) => false;

    /// <summary>How a tensor of a problem reaches the op.</summary>
    public virtual ArgumentUse UseOf(Problem problem, string tensor) => ArgumentUse.Required;

    /// <summary>What the op's exceptions call it.</summary>
    public virtual string ApiName => Op.Replace("-", "", StringComparison.Ordinal);

    /// <summary>Computes what is right.</summary>
    public abstract void Reference(Problem problem, ReferenceValues values);

    /// <summary>Calls the op for a data type known at run time.</summary>
    public void Run(DeviceStream stream, Problem problem, DType dtype, DeviceTensors tensors)
    {
        switch (dtype)
        {
            case DType.Float32: Run<float>(stream, problem, tensors); break;
            case DType.Float16: Run<Half>(stream, problem, tensors); break;
            case DType.BFloat16: Run<BFloat16>(stream, problem, tensors); break;
            case DType.Float64: Run<double>(stream, problem, tensors); break;
            default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "not a floating-point type");
        }
    }

    /// <summary>Prepares the op for a data type known at run time.</summary>
    public PreparedCall Prepare(DeviceStream stream, Problem problem, DType dtype, DeviceTensors tensors) => dtype switch
    {
        DType.Float32 => Prepare<float>(stream, problem, tensors),
        DType.Float16 => Prepare<Half>(stream, problem, tensors),
        DType.BFloat16 => Prepare<BFloat16>(stream, problem, tensors),
        DType.Float64 => Prepare<double>(stream, problem, tensors),
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "not a floating-point type"),
    };

    public override string ToString() => Op;

    /// <summary>An input with uniform values in [-2, 2).</summary>
    protected static TensorSpec Input(string name, DType dtype, long[] shape, ulong seed, double low = -2, double high = 2) =>
        new(name, dtype, shape, TensorRole.Input, Elements.Uniform(dtype, Count(shape), seed, name, low, high));

    /// <summary>An output that may differ from the reference by a tolerance.</summary>
    protected static TensorSpec Output(string name, DType dtype, long[] shape, Tolerance tolerance) =>
        new(name, dtype, shape, TensorRole.Output, []) { Tolerance = tolerance };

    protected static long Count(long[] shape) => shape.Aggregate(1L, (product, dimension) => product * dimension);
}
