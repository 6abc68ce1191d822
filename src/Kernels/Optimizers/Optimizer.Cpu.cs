using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>What <c>optimizer_rule</c> is to the kernels: a group's options of a rule, ready to use.</summary>
internal interface IOptimizerRule<TSelf, TReal>
    where TSelf : struct, IOptimizerRule<TSelf, TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    static abstract TSelf Create(in CpuOptimizerGroup<TReal> group, ref RuleWords<TReal> options);

    /// <summary>
    /// Updates the rule's state, of which it has up to three numbers a weight, and returns the new weights, before proximal steps.
    /// </summary>
    Vector512<TReal> Move(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> first,
        ref Vector512<TReal> second, ref Vector512<TReal> third);
}

/// <summary>The options that hold for a tile, ready to use: <c>optimizer_group</c> in <c>optimizer.h</c>.</summary>
internal readonly unsafe struct CpuOptimizerGroup<TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly Vector512<TReal> _gradientScale;
    private readonly Vector512<TReal> _gradientFactor;
    private readonly Vector512<TReal> _coupledDecay;
    private readonly Vector512<TReal> _subgradientL1;
    private readonly Vector512<TReal> _threshold;
    private readonly Vector512<TReal> _shrinkage;
    private readonly Vector512<TReal> _averageDecay;
    private readonly Vector512<TReal> _averageShare;
    private readonly bool _isDecayed;
    private readonly bool _hasSubgradient;
    private readonly bool _hasThreshold;
    private readonly bool _averagesSlowly;

    public CpuOptimizerGroup(in GroupOptions<TReal> options, in StepProgress<TReal> step, double rate, ulong steps)
    {
        IsFirst = steps == 0;
        _gradientScale = Vector512.Create(step.GradientScale);
        _gradientFactor = Vector512.Create(step.GradientFactor);
        Rate = Create(rate);
        FirstRate = Create(rate / Rise((steps + 1) * CpuElement.ToDouble(options.FirstLog)));
        SecondRoot = Create(1 / Math.Sqrt(Rise((steps + 1) * CpuElement.ToDouble(options.SecondLog))));
        _coupledDecay = Vector512.Create(options.CoupledDecay);
        _isDecayed = options.CoupledDecay != TReal.Zero;
        DecayFactor = Create(1 - (rate * CpuElement.ToDouble(options.DecoupledDecay)));
        _shrinkage = Create(1 / (1 + (rate * CpuElement.ToDouble(options.ProximalDecay))));
        _subgradientL1 = Vector512.Create(options.SubgradientL1);
        _hasSubgradient = options.SubgradientL1 != TReal.Zero;
        _threshold = Create(rate * CpuElement.ToDouble(options.ProximalL1));
        _hasThreshold = _threshold.ToScalar() != TReal.Zero;
        MaximumNorm = CpuElement.ToDouble(options.MaximumNorm);
        _averageDecay = Vector512.Create(options.AverageDecay);
        _averageShare = Vector512.Create(options.AverageShare);
        _averagesSlowly = CpuElement.ToDouble(options.AverageShare) < 0.5;
    }

    /// <summary>Nothing was stored yet: state counts as 0 and is not read.</summary>
    public bool IsFirst { get; }

    public double MaximumNorm { get; }

    public Vector512<TReal> Rate { get; }

    public Vector512<TReal> DecayFactor { get; }

    /// <summary>The rate over 1 - decay^step of the rule's first moment.</summary>
    public Vector512<TReal> FirstRate { get; }

    /// <summary>1 over the square root of 1 - decay^step of its second moment.</summary>
    public Vector512<TReal> SecondRoot { get; }

    /// <summary>The gradient with decay and penalty. An absent term does not look at the weight, which may be infinite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Slope(Vector512<TReal> weight, Vector512<TReal> gradient)
    {
        Vector512<TReal> slope = _gradientFactor * (_gradientScale * gradient);
        if (_isDecayed) slope += _coupledDecay * weight;
        return _hasSubgradient ? slope + (_subgradientL1 * CpuReal.SignOf(weight)) : slope;
    }

    /// <summary>The proximal step of L1 and L2: exact zeros for small weights. NaN stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Shrink(Vector512<TReal> weight)
    {
        if (!_hasThreshold) return weight * _shrinkage;
        Vector512<TReal> small = Vector512.ConditionalSelect(Vector512.Equals(weight, weight), Vector512<TReal>.Zero, weight);
        Vector512<TReal> below = Vector512.ConditionalSelect(Vector512.LessThan(weight, -_threshold), weight + _threshold, small);
        return Vector512.ConditionalSelect(Vector512.GreaterThan(weight, _threshold), weight - _threshold, below) * _shrinkage;
    }

    /// <summary>The moving average with new weights in it: <c>averaged</c>, where the reasons stand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Averaged(Vector512<TReal> average, Vector512<TReal> weight)
    {
        if (IsFirst) return weight;
        Vector512<TReal> difference = weight - average;
        Vector512<TReal> moved = _averagesSlowly ? average + (_averageShare * difference) : weight - (_averageDecay * difference);
        moved = Vector512.ConditionalSelect(CpuReal.IsFinite(difference), moved, (_averageDecay * average) + (_averageShare * weight));
        return Vector512.ConditionalSelect(CpuReal.IsFinite(average), moved, weight);
    }

    private static Vector512<TReal> Create(double value) => Vector512.Create(TReal.CreateChecked(value));

    /// <summary>1 - e^-x, without cancellation where x is small: <c>rise</c> in the text.</summary>
    private static double Rise(double x)
    {
        if (!(x < 0.5)) return 1 - Math.Exp(-x);
        double sum = 1;
        for (int k = 16; k > 1; k--) sum = 1 - (x / k * sum);
        return x * sum;
    }
}

/// <summary>The whole pass over the parameters: <c>optimizer_pass</c> in <c>optimizer.h</c>.</summary>
/// <typeparam name="TSingle">The rule in float.</typeparam>
/// <typeparam name="TDouble">The rule in double.</typeparam>
internal readonly unsafe struct CpuOptimizerPass<TSingle, TDouble> : ICpuKernel<OptimizerStepArguments>
    where TSingle : struct, IOptimizerRule<TSingle, float>
    where TDouble : struct, IOptimizerRule<TDouble, double>
{
    public static void Run<T>(in KernelVariant variant, in OptimizerStepArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<T, double, TDouble>(arguments);
        else
            Run<T, float, TSingle>(arguments);
    }

    private static void Run<T, TReal, TRule>(OptimizerStepArguments a)
        where T : unmanaged
        where TReal : unmanaged, IFloatingPointIeee754<TReal>
        where TRule : struct, IOptimizerRule<TRule, TReal>
    {
        StepProgress<TReal>* step = (StepProgress<TReal>*)a.Progress.Pointer<TReal>();
        ulong* counts = a.Counts.Pointer<ulong>();
        ulong steps = counts[0];
        bool skips = step->Skips != TReal.Zero;
        if (a.EndsStep != 0) counts[skips ? 1 : 0]++;
        if (skips) return;
        float* rates = a.Rates.Pointer<float>();
        GroupOptions<TReal>* options = (GroupOptions<TReal>*)a.Options.Pointer<TReal>();
        CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
        {
            CpuOptimizerGroup<TReal> group = default;
            TRule rule = default;
            int current = -1;
            for (long place = first; place < end; place++)
            {
                CpuTile tile = CpuTile.At(a.TensorList, place);
                if (tile.Group != current)
                {
                    current = tile.Group;
                    double rate = rates == null ? CpuElement.ToDouble(options[current].LearningRate) : rates[current];
                    group = new CpuOptimizerGroup<TReal>(options[current], *step, rate, steps);
                    rule = TRule.Create(group, ref options[current].Rule);
                }

                OptimizerTile<T, TReal> work = new(a, tile, group.IsFirst);
                work.Update(group, ref rule);
                if (group.MaximumNorm > 0) work.Project(group);
                if (a.CountsZeros != 0) work.CountZeros(a.Zeros.Pointer<uint>() + tile.Tensor);
            }
        });
    }
}

/// <summary>The memory of one tile: parameters, gradients and state, null where a role is not kept.</summary>
internal readonly unsafe struct OptimizerTile<T, TReal>
    where T : unmanaged
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly T* _parameter;
    private readonly T* _gradient;
    private readonly TReal* _first;
    private readonly TReal* _second;
    private readonly TReal* _third;
    private readonly TReal* _master;
    private readonly TReal* _average;
    private readonly long _count;
    private readonly bool _isFirst;

    public OptimizerTile(in OptimizerStepArguments a, in CpuTile tile, bool isFirst)
    {
        _parameter = a.Parameter.Pointer<T>() + tile.First;
        _gradient = a.Gradient.Pointer<T>() + tile.Second;
        TReal* state = a.State.Pointer<TReal>() + tile.Flat;
        long stride = (long)a.RoleStride;
        _first = Role(state, stride, a.FirstRole);
        _second = Role(state, stride, a.SecondRole);
        _third = Role(state, stride, a.ThirdRole);
        _master = Role(state, stride, a.Master);
        _average = Role(state, stride, a.Average);
        _count = tile.Count;
        _isFirst = isFirst;
    }

    public void Update<TRule>(in CpuOptimizerGroup<TReal> group, ref TRule rule)
        where TRule : struct, IOptimizerRule<TRule, TReal>
    {
        long i = 0;
        for (; i <= _count - Vector512<TReal>.Count; i += Vector512<TReal>.Count) Update(group, ref rule, i, Vector512<TReal>.Count);
        if (i < _count) UpdateRest(group, ref rule, i);
    }

    // Out of the loop, which then knows the length of what it loads and stores, and keeps its vectors in registers.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void UpdateRest<TRule>(in CpuOptimizerGroup<TReal> group, ref TRule rule, long i)
        where TRule : struct, IOptimizerRule<TRule, TReal> => Update(group, ref rule, i, (int)(_count - i));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Update<TRule>(in CpuOptimizerGroup<TReal> group, ref TRule rule, long i, int part)
        where TRule : struct, IOptimizerRule<TRule, TReal>
    {
        Vector512<TReal> weight = CpuReal.Load<T, TReal>(_parameter + i, part);
        if (_master != null && !_isFirst)
        {
            // A parameter that its copy does not round to was written by someone else, and holds.
            Vector512<TReal> master = CpuReal.Load(_master + i, part);
            weight = Vector512.ConditionalSelect(Vector512.Equals(CpuReal.Round<T, TReal>(master), weight), master, weight);
        }

        Vector512<TReal> first = State(_first, i, part), second = State(_second, i, part), third = State(_third, i, part);
        Vector512<TReal> slope = group.Slope(weight, CpuReal.Load<T, TReal>(_gradient + i, part));
        weight = group.Shrink(rule.Move(group, weight, slope, ref first, ref second, ref third));
        if (_first != null) CpuReal.Store(_first + i, first, part);
        if (_second != null) CpuReal.Store(_second + i, second, part);
        if (_third != null) CpuReal.Store(_third + i, third, part);
        if (_master != null) CpuReal.Store(_master + i, weight, part);
        CpuReal.Store(_parameter + i, weight, part);
        if (_average != null && group.MaximumNorm == 0)
            CpuReal.Store(_average + i, group.Averaged(State(_average, i, part), weight), part);
    }

    /// <summary>Scales a row that is too long, and only then lets it into the average.</summary>
    public void Project(in CpuOptimizerGroup<TReal> group)
    {
        CpuSquares<TReal> squares = default;
        for (long i = 0; i < _count; i += Vector512<TReal>.Count) squares.Add(Weight(i, (int)Math.Min(Vector512<TReal>.Count, _count - i)));
        (double down, double plain, double up) = squares.Sums();
        ScaledNorm norm = CpuSquares<TReal>.Norm(down, plain, up);
        bool isTooLong = norm.Length > group.MaximumNorm * norm.Scale;
        Vector512<TReal> scale = Vector512.Create(TReal.CreateChecked(isTooLong ? norm.Scale : 1));
        Vector512<TReal> factor = Vector512.Create(TReal.CreateChecked(isTooLong ? group.MaximumNorm / norm.Length : 1));
        for (long i = 0; i < _count && (isTooLong || _average != null); i += Vector512<TReal>.Count)
        {
            int part = (int)Math.Min(Vector512<TReal>.Count, _count - i);
            Vector512<TReal> weight = Weight(i, part) * scale * factor;
            if (isTooLong && _master != null) CpuReal.Store(_master + i, weight, part);
            if (isTooLong) CpuReal.Store(_parameter + i, weight, part);
            if (_average != null) CpuReal.Store(_average + i, group.Averaged(State(_average, i, part), weight), part);
        }
    }

    public void CountZeros(uint* total)
    {
        uint zeros = 0;
        for (long i = 0; i < _count; i++) zeros += CpuElement.ToDouble(_parameter[i]) == 0 ? 1u : 0;
        if (zeros > 0) Interlocked.Add(ref *total, zeros);
    }

    private static TReal* Role(TReal* state, long stride, uint role) => role == OptimizerKernels.NoRole ? null : state + (role * stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<TReal> State(TReal* state, long i, int part) =>
        state == null || _isFirst ? Vector512<TReal>.Zero : CpuReal.Load(state + i, part);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<TReal> Weight(long i, int part) =>
        _master != null ? CpuReal.Load(_master + i, part) : CpuReal.Load<T, TReal>(_parameter + i, part);
}

/// <summary>Sums of the squares of each tile's gradients.</summary>
internal readonly unsafe struct CpuGradientSquares : ICpuKernel<GradientSquaresArguments>
{
    public static void Run<T>(in KernelVariant variant, in GradientSquaresArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(arguments);
        else
            Run<T, float>(arguments);
    }

    private static void Run<T, TReal>(GradientSquaresArguments a)
        where T : unmanaged
        where TReal : unmanaged
    {
        CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
        {
            for (long place = first; place < end; place++)
            {
                CpuTile tile = CpuTile.At(a.TensorList, place);
                T* gradient = a.Gradient.Pointer<T>() + tile.Second;
                CpuSquares<TReal> squares = default;
                for (long i = 0; i < tile.Count; i += Vector512<TReal>.Count)
                    squares.Add(CpuReal.Load<T, TReal>(gradient + i, (int)Math.Min(Vector512<TReal>.Count, tile.Count - i)));
                (double down, double plain, double up) = squares.Sums();
                TReal* sums = a.Sums.Pointer<TReal>() + (CpuSquares<TReal>.SumCount * tile.Index);
                sums[0] = CpuElement.FromDouble<TReal>(down);
                sums[1] = CpuElement.FromDouble<TReal>(plain);
                sums[2] = CpuElement.FromDouble<TReal>(up);
            }
        });
    }
}

/// <summary>The decisions for one step: <c>optimizer_prepare</c>.</summary>
internal readonly unsafe struct CpuPrepare : ICpuKernel<OptimizerPrepareArguments>
{
    public static void Run<T>(in KernelVariant variant, in OptimizerPrepareArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<double>(arguments);
        else
            Run<float>(arguments);
    }

    private static void Run<TReal>(in OptimizerPrepareArguments a)
        where TReal : unmanaged, IFloatingPointIeee754<TReal>
    {
        StepProgress<TReal>* step = (StepProgress<TReal>*)a.Progress.Pointer<TReal>();
        TReal* sums = a.Sums.Pointer<TReal>();
        double down = 0, plain = 0, up = 0;
        for (ulong tile = 0; tile < a.MeasuredTiles; tile++, sums += CpuSquares<TReal>.SumCount)
        {
            down += CpuElement.ToDouble(sums[0]);
            plain += CpuElement.ToDouble(sums[1]);
            up += CpuElement.ToDouble(sums[2]);
        }

        ScaledNorm norm = CpuSquares<TReal>.Norm(down, plain, up);
        double scale = 1, factor = 1 / (a.HasLossScale != 0 ? *a.LossScales.Pointer<float>() : a.LossScale);
        double length = norm.Length * factor;
        if (a.MaximumNorm > 0)
        {
            double clip = a.MaximumNorm / (length + (1e-6 * norm.Scale));
            // Written so that a NaN stays one, and the weights show it.
            if (!(clip * norm.Scale >= 1)) (scale, factor) = (norm.Scale, factor * clip);
        }

        bool skips = a.SkipsFaults != 0 && !double.IsFinite(down);
        *step = new StepProgress<TReal>
        {
            GradientScale = TReal.CreateChecked(scale),
            GradientFactor = TReal.CreateChecked(factor),
            Skips = skips ? TReal.One : TReal.Zero,
            GradientNorm = TReal.CreateChecked(length / norm.Scale),
        };
        if (!skips && a.CountedTensors > 0) new Span<uint>(a.Zeros.Pointer<uint>(), (int)a.CountedTensors).Clear();
    }
}
