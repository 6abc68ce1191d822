namespace Kernels.Cpu;

/// <summary>A number that the compiler knows, so that it drops the rows and vectors which a tile does not have.</summary>
internal interface ICount
{
    static abstract int Value { get; }
}

/// <summary>Any number: the compiler knows none.</summary>
internal readonly struct Any : ICount
{
    public static int Value => 0;
}

internal readonly struct One : ICount
{
    public static int Value => 1;
}

internal readonly struct Two : ICount
{
    public static int Value => 2;
}

internal readonly struct Three : ICount
{
    public static int Value => 3;
}

internal readonly struct Four : ICount
{
    public static int Value => 4;
}

internal readonly struct Five : ICount
{
    public static int Value => 5;
}

internal readonly struct Six : ICount
{
    public static int Value => 6;
}

internal readonly struct Eight : ICount
{
    public static int Value => 8;
}

internal readonly struct Twelve : ICount
{
    public static int Value => 12;
}

internal readonly struct Seven : ICount
{
    public static int Value => 7;
}

internal readonly struct Fourteen : ICount
{
    public static int Value => 14;
}

internal readonly struct Eleven : ICount
{
    public static int Value => 11;
}

internal readonly struct Thirteen : ICount
{
    public static int Value => 13;
}
