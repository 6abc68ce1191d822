namespace Kernels.Verification;

/// <summary>
/// A problem in one type: its tensors, and what is right, which is computed once however often and wherever the problem is run.
/// </summary>
public sealed record Trial
{
    private readonly Lazy<ReferenceValues> _expected;
    private readonly Lazy<ReferenceValues> _reached;

    /// <param name="op">The op.</param>
    /// <param name="problem">One of its problems.</param>
    /// <param name="dtype">The stored type.</param>
    /// <param name="seed">What the inputs are drawn from.</param>
    public Trial(OpCase op, Problem problem, DType dtype, ulong seed = Verifier.DefaultSeed)
        : this(op, problem, dtype, op.Tensors(problem, dtype, seed))
    {
    }

    private Trial(OpCase op, Problem problem, DType dtype, IReadOnlyList<TensorSpec> specs)
    {
        (Op, Problem, DType, Specs) = (op, problem, dtype, specs);
        _expected = new Lazy<ReferenceValues>(() => Reference(specs));
        _reached = new Lazy<ReferenceValues>(() => Reference([.. specs.Select(WithNaN)]));

        ReferenceValues Reference(IReadOnlyList<TensorSpec> tensors)
        {
            ReferenceValues values = new(tensors);
            op.Reference(problem, values);
            return values;
        }
    }

    /// <summary>The op that is run; what is right stays that of the op the trial was made with.</summary>
    public OpCase Op { get; init; }

    public Problem Problem { get; }

    public DType DType { get; }

    public IReadOnlyList<TensorSpec> Specs { get; }

    /// <summary>Every tensor as the reference has it.</summary>
    public ReferenceValues Expected => _expected.Value;

    /// <summary>
    /// Whether an element of a result is masked or dropped: NaN in every floating-point input leaves it 0. -infinity stays, where it is
    /// itself the mask.
    /// </summary>
    public bool IsMasked(string name, int index) => _reached.Value[name][index] == 0;

    /// <summary>The tensors that the op writes.</summary>
    public IEnumerable<TensorSpec> Results => Specs.Where(spec => spec.Role != TensorRole.Input);

    /// <summary>The same problem with other tensors: other values, other tolerances.</summary>
    public Trial With(Func<TensorSpec, TensorSpec> change) => new(Op, Problem, DType, [.. Specs.Select(change)]);

    private static TensorSpec WithNaN(TensorSpec spec) => spec.Role == TensorRole.Output || !spec.DType.IsFloat()
        ? spec
        : spec with { Values = [.. spec.Values.Select(value => double.IsNegativeInfinity(value) ? value : double.NaN)] };
}
